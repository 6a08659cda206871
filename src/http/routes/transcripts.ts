/** Transcripts: what is kept of request and response bodies. */
import { z } from 'zod';
import { checkTranscripts } from '../../broker/check-transcripts.ts';
import { destroyTranscripts } from '../../broker/destroy-transcripts.ts';
import {
  openTranscript,
  openTranscriptFile,
  type ShownBody,
  type ShownTranscript,
} from '../../broker/open-transcript.ts';
import { idSchema } from '../../core/ids.ts';
import { instantSchema } from '../../core/instants.ts';
import { proseSchema } from '../../core/people.ts';
import { mediaRoute, route } from '../route.ts';
import { instant, named, toInstantOrNull } from '../schemas.ts';

const tag = 'Transcripts';

const partSchema = z.enum(['request', 'response']);

const bodyAnswer = named(
  'TranscriptBody',
  z.object({
    part: partSchema,
    sha256: z.string().describe('Of the file that is stored, hex: as the outcome says it'),
    bytes: z.int().describe('Length of that file'),
    until: instant.describe('When it is destroyed at the latest'),
    standing: z
      .enum(['stored', 'destroyed', 'missing', 'changed'])
      .describe(
        'missing: it was destroyed, which is in the log, or is gone; changed: it is not what was stored',
      ),
    cut: z.boolean().describe('The broker died while it was written: what there was is kept'),
    json: z.unknown().optional().describe('Of "full": the body, where it is JSON'),
    text: z.string().optional().describe('Of "full": the body, where it is other text'),
    base64: z.string().optional().describe('Of "full": the body, where it is neither'),
  }),
);

const transcriptAnswer = named(
  'Transcript',
  z.object({
    request: z.string(),
    mode: z.enum(['sealed', 'full']),
    recipients: z
      .array(
        z.object({
          id: z.string().describe('The first 8 bytes of the SHA-256 of the recipient, hex'),
          holder: z.string().nullable(),
        }),
      )
      .describe('Those who can open it'),
    bodies: z.array(bodyAnswer),
    lost: z.array(partSchema).describe('What could not be stored: the call ended with an error'),
    quoted: z
      .enum(['masked', 'withheld'])
      .nullable()
      .describe(
        'The answer quoted a credential of the host. masked: asterisks are in its place; withheld: nothing of the answer is kept',
      ),
  }),
);

function contentOf(body: Buffer | undefined): { json?: unknown; text?: string; base64?: string } {
  if (!body) return {};
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return { base64: body.toString('base64') };
  }
  try {
    return { json: JSON.parse(text) as unknown };
  } catch {
    return { text };
  }
}

const showBody = ({ body, isCut, ...rest }: ShownBody): z.input<typeof bodyAnswer> => ({
  ...rest,
  cut: isCut,
  ...contentOf(body),
});

const show = ({
  requestId,
  bodies,
  ...rest
}: ShownTranscript): z.input<typeof transcriptAnswer> => ({
  ...rest,
  request: requestId,
  bodies: bodies.map(showBody),
});

const requestParams = { request: idSchema('req') };

export const TRANSCRIPT_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/transcripts/:request',
    action: 'transcript.read',
    tag,
    summary: 'Open the transcript of a request',
    description:
      'Of "full", with the bodies up to 1 MiB each. The opening is recorded before anything is shown. A researcher sees their own of "full" alone.',
    params: z.strictObject(requestParams),
    answer: transcriptAnswer,
    handle: async ({ broker, actorId, params }) =>
      show(await openTranscript(broker, actorId, params.request)),
  }),
  mediaRoute({
    method: 'get',
    path: '/api/v1/transcripts/:request/:part',
    action: 'transcript.read',
    tag,
    summary: 'Fetch a file of a transcript as it is stored',
    description:
      'Of "sealed" an age file, which "sallyport audit open" and the "age" program open with the key of a recipient; it can hold other calls under the grant, too. Recorded as an opening. The SHA-256 of the file is the one in the outcome of the request.',
    params: z.strictObject({ ...requestParams, part: partSchema }),
    media: 'application/octet-stream',
    handle: async ({ broker, actorId, params: { request, part } }) => {
      const opened = await openTranscriptFile(broker, actorId, request, part);
      const name = `${request}.${part}${opened.mode === 'sealed' ? '.age' : '.records'}`;
      return {
        headers: {
          'content-disposition': `attachment; filename="${name}"`,
          'cache-control': 'no-store',
          'x-sallyport-sha256': opened.sha256,
          'x-sallyport-bytes': String(opened.bytes),
        },
        body: opened.content,
      };
    },
  }),
  route({
    method: 'post',
    path: '/api/v1/transcripts/check',
    action: 'transcript.check',
    tag,
    summary: 'Check that transcripts are stored as their entries say',
    description:
      'Reads every file of the next 200 outcomes, and shows nothing of it. Go on from `next` until it is null. That it was asked is recorded.',
    body: z.strictObject({ from: z.int().min(0).default(0).describe('Index of an entry') }),
    answer: z.object({
      sound: z.int().describe('Bodies that are as they were stored'),
      destroyed: z.int().describe('Bodies that were destroyed, by entries of the log'),
      problems: z.array(
        z.object({
          index: z.int().describe('Of the outcome'),
          requestId: z.string(),
          part: partSchema,
          problem: z.enum(['missing', 'changed']),
        }),
      ),
      next: z.int().nullable(),
      archivedBefore: z
        .int()
        .nullable()
        .describe(
          'Entries in front of this index were asked for, too, and are in archives: nothing that is stored is of them. null: none were',
        ),
    }),
    handle: ({ broker, actorId, body }) => checkTranscripts(broker, actorId, body.from),
  }),
  route({
    method: 'post',
    path: '/api/v1/transcripts/destroy',
    action: 'transcript.destroy',
    tag,
    summary: 'Destroy transcripts of a grant',
    description:
      'All of them, or those written until a moment. What an incident that is not closed has to do with stays, unless `evenHeld` says otherwise. The log keeps their digests and commitments, and says that they were destroyed. There is no way back.',
    body: z.strictObject({
      grant: idSchema('grt'),
      until: instantSchema.optional().describe('What was written at this moment or before'),
      grounds: proseSchema.describe('Why; kept in the log'),
      evenHeld: z.boolean().default(false).describe('What an incident holds as well'),
    }),
    answer: z.object({
      id: z.string(),
      files: z.int(),
      bodies: z.int(),
      bytes: z.int(),
      from: instant.nullable().describe('When the first of them was written'),
      until: instant.nullable(),
      held: z.int().describe('Files that stay because of an incident'),
      open: z
        .int()
        .describe('Files that are being written: they are destroyed once they are ended'),
    }),
    handle: async ({ broker, actorId, body }) => {
      const { grant: grantId, until, grounds, evenHeld } = body;
      const destroyed = await destroyTranscripts(broker, actorId, {
        grantId,
        until: until === undefined ? undefined : Date.parse(until),
        grounds,
        evenHeld,
      });
      const { from, until: last } = destroyed;
      return { ...destroyed, from: toInstantOrNull(from), until: toInstantOrNull(last) };
    },
  }),
];
