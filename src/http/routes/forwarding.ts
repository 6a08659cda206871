/** Following the log live, and where it is forwarded to. */
import { z } from 'zod';
import { followLog } from '../../broker/follow-log.ts';
import { mayRead } from '../../broker/reach.ts';
import { searchShape } from '../../core/audit/entry-search.ts';
import { refuse } from '../../core/denials.ts';
import { EventStream } from '../event-stream.ts';
import { mediaRoute, route } from '../route.ts';
import { instant, named, toInstant, toInstantOrNull } from '../schemas.ts';

const tag = 'Audit log';

const index = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

const receiverAnswer = named(
  'LogReceiver',
  z.object({
    id: z.string().describe('Its name in the configuration'),
    type: z.enum(['syslog', 'webhook', 'file']),
    kinds: z.array(z.string()).nullable().describe('Only entries of these kinds; null: all'),
    state: z
      .enum(['current', 'behind', 'failing'])
      .describe('Whether it has all, is being given the rest, or failed at the last attempt'),
    next: z.int().describe('The first entry that it may not have'),
    lag: z.int().describe('Entries from there on, those of other kinds included'),
    lagSeconds: z.number().describe('How long ago the log took the first of them'),
    lost: z.int().describe('Entries that retention took away before they had arrived'),
    deliveredAt: instant.nullable().describe('Since the start of the broker'),
    failure: z
      .object({
        code: z.enum([
          'unreachable',
          'timeout',
          'refused',
          'gone',
          'secret_unusable',
          'unwritable',
        ]),
        status: z.int().nullable().describe('Of HTTP, where there was an answer'),
        at: instant,
        since: instant,
        attempts: z.int(),
      })
      .nullable()
      .describe('Of the last attempt; null: it did not fail'),
  }),
);

export const FORWARDING_ROUTES = [
  mediaRoute({
    method: 'get',
    path: '/api/v1/log/tail',
    action: 'log.read',
    tag,
    summary: 'Follow the audit log',
    description:
      'Server-Sent Events: entries as they are committed, within the reach of the caller, for as long as their token is good. The id of an event is the index of its entry; to go on after a break without gap or double, send it as Last-Event-ID. An event "end" says why the broker ends the stream. The reading is recorded once.',
    query: z.strictObject({
      ...searchShape,
      from: index.optional().describe('The first entry that is looked at; default: the next one'),
      seconds: z.coerce
        .number()
        .min(0)
        .max(86_400)
        .optional()
        .describe('End after so long; default: with the token'),
    }),
    media: 'text/event-stream',
    handle: async ({ broker, actorId, tokenId, query, lastEventId }) => {
      const { from, seconds, ...search } = query;
      const gone = new AbortController();
      const follow = {
        actorId,
        tokenId,
        search,
        from: lastEventId === undefined ? from : goOnAfter(lastEventId),
        until: seconds === undefined ? Infinity : broker.clock() + seconds * 1000,
      };
      const events = await followLog(broker, follow, gone.signal);
      return {
        // A proxy that gathers answers would hold events back.
        headers: { 'x-accel-buffering': 'no' },
        body: new EventStream(events, gone),
      };
    },
  }),
  route({
    method: 'get',
    path: '/api/v1/log/forwarding',
    action: 'forwarding.read',
    tag,
    summary: 'Where the audit log is forwarded to',
    description:
      'The receivers of the configuration, how far each has come, and why the last attempt failed. Addresses are not shown.',
    answer: z.object({ items: z.array(receiverAnswer), size: z.int().describe('Of the log') }),
    handle: async ({ broker, actorId }) => {
      await broker.store.caughtUp();
      mayRead(broker, actorId, 'forwarding.read');
      const items = broker.forwarding.shown().map((one) => ({
        ...one,
        kinds: one.kinds ? [...one.kinds] : null,
        lagSeconds: one.lagMs / 1000,
        deliveredAt: toInstantOrNull(one.deliveredAt),
        failure: one.failure && {
          ...one.failure,
          at: toInstant(one.failure.at),
          since: toInstant(one.failure.since),
        },
      }));
      return { items, size: broker.readers.logSize() };
    },
  }),
];

function goOnAfter(lastEventId: string): number {
  const last = index.safeParse(lastEventId);
  if (!last.success || lastEventId === '')
    return refuse(
      'invalid_request',
      'Last-Event-ID must be the id of an event: an index of the log.',
    );
  return last.data + 1;
}
