/** Witnesses of our log, and being one of others'; split views; the keys that the log has had. */
import { z } from 'zod';
import { compareCheckpoint, listSplitViews } from '../../broker/compare-checkpoint.ts';
import { logKeyHistory, rotateLogKey } from '../../broker/rotate-log-key.ts';
import { addCheckpoint, listWatchedLogs } from '../../broker/watch-log.ts';
import type { Broker } from '../../broker/broker.ts';
import { MOST_ADD_CHECKPOINT_BYTES } from '../../core/audit/add-checkpoint.ts';
import { SPLIT_VIEW_KINDS, SPLIT_VIEW_SOURCES } from '../../core/audit/split-view.ts';
import { WITNESS_FAILURES } from '../../core/audit/witness-failures.ts';
import { formatWitnessPolicy } from '../../core/audit/witness-policy.ts';
import { refuse } from '../../core/denials.ts';
import type { SplitViewRow } from '../../store/witness-rows.ts';
import { pageOf, pageQuery, readPage } from '../paging.ts';
import { mediaRoute, route } from '../route.ts';
import { instant, named, toInstant, toInstantOrNull } from '../schemas.ts';

const tag = 'Audit log';
const TEXT = 'text/plain; charset=utf-8';

const DAY_MS = 86_400_000;

const witnessAnswer = named(
  'Witness',
  z.object({
    name: z.string(),
    verifierKey: z.string().describe('C2SP verifier key of cosignatures (type 4)'),
    cosignedSize: z.int().nullable().describe('Entries of the newest checkpoint that it cosigned'),
    cosignedAt: instant.nullable().describe('When it says it did'),
    failure: z
      .enum(Object.keys(WITNESS_FAILURES) as (keyof typeof WITNESS_FAILURES)[])
      .nullable()
      .describe('Why it last did not; null: it did, or has not been asked since the start'),
    problem: z.string().nullable().describe('The same in a sentence that says what to do'),
    failedAt: instant.nullable(),
  }),
);

function showWitnesses({ witnesses, readers }: Broker): z.input<typeof witnessAnswer>[] {
  return witnesses.asker.states.map(({ name, verifierKey, failure, failedAt }) => {
    const last = readers.lastCosignature(verifierKey);
    return {
      name,
      verifierKey,
      cosignedSize: last?.size ?? null,
      cosignedAt: toInstantOrNull(last?.signedAt ?? null),
      failure: failure ?? null,
      problem: failure === undefined ? null : WITNESS_FAILURES[failure],
      failedAt: failure === undefined ? null : toInstantOrNull(failedAt ?? null),
    };
  });
}

const splitViewAnswer = named(
  'SplitView',
  z.object({
    id: z.string(),
    origin: z.string().describe('The log that was shown in two versions'),
    kind: z
      .enum(SPLIT_VIEW_KINDS)
      .describe(
        'proven: by the key of that log alone. unproven: the key of this log signed for more entries than it has, and the two cannot be compared',
      ),
    source: z.enum(SPLIT_VIEW_SOURCES).describe('It asked us to cosign; or somebody handed it in'),
    lab: z.string().nullable(),
    foundAt: instant,
    older: z.string().describe('Signed checkpoint; of the same size, either of the two'),
    newer: z.string().describe('Signed checkpoint'),
    past: z
      .object({
        root: z.string().describe('That the newer log had at the size of the older, base64'),
        proof: z.array(z.string()).describe('Consistency proof from there to the newer, base64'),
      })
      .nullable()
      .describe('Null where both have one size, or nothing is proven'),
  }),
);

const showSplitView = (row: SplitViewRow): z.input<typeof splitViewAnswer> => ({
  ...row,
  lab: row.labId,
  foundAt: toInstant(row.at),
  past: row.pastRoot && { root: row.pastRoot.toString('base64'), proof: row.proof ?? [] },
});

const watchedAnswer = named(
  'WatchedLog',
  z.object({
    origin: z.string(),
    verifierKeys: z.array(z.string()),
    lab: z.string().nullable(),
    size: z.int().nullable().describe('Entries of the newest checkpoint that we cosigned'),
    cosignedAt: instant.nullable(),
    checkpoint: z.string().nullable(),
  }),
);

export const WITNESS_ROUTES = [
  mediaRoute({
    method: 'get',
    path: '/api/v1/log/checkpoint/witnessed',
    action: 'public',
    tag,
    summary: 'The newest checkpoint that enough witnesses have cosigned',
    description:
      'As the policy of the host lab says (GET /api/v1/log/witnesses). 404 where there is none, as without witnesses.',
    media: TEXT,
    handle: ({ broker: { readers, witnesses } }) => ({
      body:
        readers.newestWitnessed(witnesses.policy)?.note ??
        refuse('not_found', 'There is no checkpoint that enough witnesses have cosigned.'),
    }),
  }),
  route({
    method: 'get',
    path: '/api/v1/log/witnesses',
    action: 'public',
    tag,
    summary: 'Who cosigns our checkpoints, and how it goes',
    description: 'And how many of them make a checkpoint a witnessed one.',
    answer: z.object({
      witnesses: z.array(witnessAnswer),
      policy: z
        .string()
        .nullable()
        .describe('C2SP tlog-policy, for "audit verify --policy"; null: there are no witnesses'),
      witnessedSize: z.int().nullable().describe('Entries of the newest witnessed checkpoint'),
    }),
    handle: ({ broker }) => {
      const { store, readers, witnesses } = broker;
      return {
        witnesses: showWitnesses(broker),
        policy: formatWitnessPolicy([store.verifierKey], witnesses.policy) ?? null,
        witnessedSize: readers.newestWitnessed(witnesses.policy)?.size ?? null,
      };
    },
  }),
  mediaRoute({
    method: 'get',
    path: '/api/v1/log/witness-key',
    action: 'public',
    tag,
    summary: 'The key that this broker cosigns with as a witness',
    description: 'A C2SP verifier key of type 4, for the configuration of whoever asks us to.',
    media: TEXT,
    handle: ({ broker }) => ({ body: `${broker.witness.key.verifierKey}\n` }),
  }),
  mediaRoute({
    method: 'post',
    path: '/witness/add-checkpoint',
    action: 'public',
    tag,
    summary: 'Have this broker cosign a checkpoint, as a witness',
    description:
      'C2SP tlog-witness. Answers a signature line, or 409 with the size that this witness knows (text/x.tlog.size).',
    text: MOST_ADD_CHECKPOINT_BYTES,
    media: TEXT,
    handle: async ({ broker, address, text }) => {
      const answer = await addCheckpoint(broker, address, text);
      if ('cosigned' in answer) return { body: answer.cosigned };
      return {
        status: 409,
        headers: { 'content-type': 'text/x.tlog.size' },
        body: Buffer.from(`${answer.conflict}\n`),
      };
    },
  }),
  route({
    method: 'get',
    path: '/api/v1/log/watched',
    action: 'watched_log.read',
    tag,
    summary: 'The logs that this broker is a witness of',
    description: 'And the newest checkpoint of each that it cosigned.',
    answer: z.object({ items: z.array(watchedAnswer) }),
    handle: ({ broker, actorId }) => ({
      items: listWatchedLogs(broker, actorId).map(({ at, note, size, lab, ...log }) => ({
        ...log,
        lab: lab ?? null,
        size: size ?? null,
        cosignedAt: toInstantOrNull(at ?? null),
        checkpoint: note ?? null,
      })),
    }),
  }),
  route({
    method: 'post',
    path: '/api/v1/log/compare',
    action: 'public',
    tag,
    summary: 'Hand in a checkpoint that you saw',
    description:
      'Of this log, or of one that this broker is a witness of. Where it does not agree with what is known here, both are kept and those concerned are told.',
    text: MOST_ADD_CHECKPOINT_BYTES,
    answer: z.object({
      verdict: z
        .enum(['consistent', 'split', 'undecided'])
        .describe('undecided: without a proof between the two sizes, nothing is shown'),
      origin: z.string(),
      against: z.int().nullable().describe('Entries of the checkpoint that it was held against'),
      splitView: z.string().nullable().describe('The record that is kept of it'),
    }),
    handle: async ({ broker, address, text }) => {
      const compared = await compareCheckpoint(broker, address, text);
      const { verdict, origin, against = null, splitView = null } = compared;
      return { verdict, origin, against, splitView };
    },
  }),
  route({
    method: 'get',
    path: '/api/v1/log/split-views',
    action: 'split_view.read',
    tag,
    summary: 'List logs that were shown in two versions, with what proves it',
    description:
      'Newest first. Those of this log everybody sees; those of a log that is watched, its lab and the host. Check them with "sallyport audit compare".',
    query: z.strictObject(pageQuery),
    answer: pageOf(splitViewAnswer),
    handle: ({ broker, actorId, query }) =>
      readPage(query, (page) => listSplitViews(broker, actorId, page), showSplitView),
  }),
  mediaRoute({
    method: 'get',
    path: '/api/v1/log/keys',
    action: 'public',
    tag,
    summary: 'The keys that the log has had',
    description:
      'Each step from one key to the next is signed by both, with the size at which it happened. Whoever trusts one of them can check the rest by this document: "audit verify" does so with a running broker, and with a bundle, which carries it.',
    media: 'application/json; charset=utf-8',
    handle: ({ broker }) => ({ body: logKeyHistory(broker) }),
  }),
  route({
    method: 'post',
    path: '/api/v1/log/keys/rotate',
    action: 'log.rotate_key',
    tag,
    summary: 'Have a new key sign the log',
    description:
      'The broker makes it. It signs from now on; the old one signs beside it for some days, so that whoever knows only that one can go on verifying. What was signed before stays good.',
    body: z.strictObject({
      overlapDays: z
        .number()
        .min(0)
        .max(366)
        .default(30)
        .describe('0: the old key signs no more, as for one that may have leaked'),
    }),
    answer: z.object({
      oldKey: z.string(),
      newKey: z.string(),
      size: z.int().describe('Entries of the last checkpoint that the old key signed alone'),
      oldKeySignsUntil: instant,
    }),
    handle: async ({ broker, actorId, body }) => {
      const { signsUntil, ...rotated } = await rotateLogKey(
        broker,
        actorId,
        body.overlapDays * DAY_MS,
      );
      return { ...rotated, oldKeySignsUntil: toInstant(signsUntil) };
    },
  }),
];
