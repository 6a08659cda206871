/** Statements of what calls left in the log: what a partner lab holds against its receipts. */
import { z } from 'zod';
import {
  readStatedEntries,
  readStatements,
  type StatedEntry,
  type Statement,
  type StatementPlace,
  type StatementQuery,
} from '../../broker/statements.ts';
import { parseCheckpoint } from '../../core/audit/checkpoint.ts';
import type { Broker } from '../../broker/broker.ts';
import { refuse } from '../../core/denials.ts';
import { idSchema } from '../../core/ids.ts';
import { route } from '../route.ts';
import { named } from '../schemas.ts';

const tag = 'Audit log';

/** Entries in one answer. */
const MOST_ENTRIES = 1_000;

const day = z.iso.date('must be a UTC day such as 2026-05-31');
const hash = z.string().describe('32 bytes in base64');

const which = {
  person: idSchema('per').optional(),
  run: idSchema('run').optional(),
  day: day.optional().describe('UTC day on which the log took the entries in'),
  since: day.optional().describe('Days from this one on'),
  size: z.coerce
    .number()
    .int()
    .min(1)
    .max(Number.MAX_SAFE_INTEGER)
    .optional()
    .describe(
      'As of the checkpoint of this size, which must have been signed: for the pages after the first. Without it, as of a checkpoint that covers all there is by now',
    ),
  cursor: z.string().max(100).optional().describe('"next" of the page before'),
};

const whose = {
  person: idSchema('per'),
  run: idSchema('run').nullable(),
  day,
};

const checkpointAnswer = named(
  'StatementCheckpoint',
  z.object({
    origin: z.string(),
    size: z.int().describe('Entries that were looked at: those below this index'),
    root: hash,
    note: z.string().describe('The signed checkpoint itself'),
  }),
);

const statementAnswer = named(
  'Statement',
  z.object({
    ...whose,
    requests: z.int().describe('Calls that were passed on: entries request.intent'),
    outcomes: z.int().describe('Calls that ended: entries request.outcome'),
    refusals: z
      .int()
      .describe('Calls that were refused, those that were counted together included'),
    answered: z.int().describe('Lists of models: entries request.answered'),
    inputTokens: z.int(),
    outputTokens: z.int(),
    entries: z.int().describe('How many entries the digest is over'),
    first: z.int().describe('Index of the first of them'),
    last: z.int().describe('Index of the last of them'),
    digest: hash.describe(
      'SHA-256 over the leaf hashes of these entries, in the order of the log: 32 bytes in base64',
    ),
  }),
);

const statedEntryAnswer = named(
  'StatedEntry',
  z.object({
    ...whose,
    index: z.int(),
    kind: z.string(),
    request: idSchema('req')
      .nullable()
      .describe('null: refusals that were counted together, or the entry is in an archive'),
    leaf: hash.describe('Hash of the leaf: 32 bytes in base64'),
  }),
);

const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({
    checkpoint: checkpointAnswer,
    items: z.array(item),
    next: z.string().nullable().describe('Hand it back as cursor, together with the size'),
    archivedBefore: z
      .int()
      .nullable()
      .describe(
        'Entries in front of this index are in archives (see /log/archives). They are counted here as before, and their leaf hashes stay; their bytes are not to be had. null: nothing was pruned',
      ),
  });

const archivedBefore = ({ readers }: Broker): number | null => readers.minimumIndex() || null;

export const STATEMENT_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/statements',
    action: 'log.read',
    tag,
    summary: 'What calls left in the log, by person, run and day',
    description:
      'Counts, tokens and a digest over the entries, bound to a checkpoint: see docs/receipts.md. Within the reach of the caller. The reading is recorded.',
    query: z.strictObject({
      ...which,
      lab: idSchema('lab').optional(),
      limit: z.coerce.number().int().min(1).max(200).default(50),
    }),
    answer: pageOf(statementAnswer),
    handle: async ({ broker, actorId, query }) => {
      const from = query.cursor === undefined ? undefined : placeIn(query.cursor).place;
      const page = { from, limit: query.limit };
      const found = await readStatements(broker, actorId, queryOf(query), page);
      return {
        checkpoint: shownCheckpoint(found.checkpoint),
        items: found.items.map(shownStatement),
        next: found.next ? cursorTo(found.next) : null,
        archivedBefore: archivedBefore(broker),
      };
    },
  }),
  route({
    method: 'get',
    path: '/api/v1/statements/entries',
    action: 'log.read',
    tag,
    summary: 'The entries that statements count',
    description:
      'Of one person: the one that is named, the one whose run is named, or the caller. In the order of runs, days and the log. The reading is recorded.',
    query: z.strictObject({
      ...which,
      limit: z.coerce.number().int().min(1).max(MOST_ENTRIES).default(MOST_ENTRIES),
    }),
    answer: pageOf(statedEntryAnswer),
    handle: async ({ broker, actorId, query }) => {
      const cursor = query.cursor === undefined ? undefined : placeIn(query.cursor);
      const from = cursor && { ...cursor.place, index: cursor.index ?? badCursor() };
      const page = { from, limit: query.limit };
      const found = await readStatedEntries(broker, actorId, queryOf(query), page);
      return {
        checkpoint: shownCheckpoint(found.checkpoint),
        items: found.items.map(shownEntry),
        next: found.next ? cursorTo(found.next, found.next.index) : null,
        archivedBefore: archivedBefore(broker),
      };
    },
  }),
];

interface Asked {
  person?: string | undefined;
  lab?: string | undefined;
  run?: string | undefined;
  day?: string | undefined;
  since?: string | undefined;
  size?: number | undefined;
}

const queryOf = ({ person, lab, run, day: on, since, size }: Asked): StatementQuery => ({
  personId: person,
  labId: lab,
  runId: run,
  day: on,
  since,
  size,
});

function shownCheckpoint({ note }: { note: string }): z.input<typeof checkpointAnswer> {
  const body = note.slice(0, note.indexOf('\n\n') + 1);
  const { origin, size, root } = parseCheckpoint(body);
  return { origin, size, root: root.toString('base64'), note };
}

const shownPlace = ({ personId, runId, day: on }: StatementPlace) => ({
  person: personId,
  run: runId === '' ? null : runId,
  day: on,
});

function shownStatement(statement: Statement): z.input<typeof statementAnswer> {
  return {
    ...shownPlace(statement),
    requests: statement.requests,
    outcomes: statement.outcomes,
    refusals: statement.refusals,
    answered: statement.answered,
    inputTokens: statement.inputTokens,
    outputTokens: statement.outputTokens,
    entries: statement.entries,
    first: statement.first,
    last: statement.last,
    digest: statement.digest.toString('base64'),
  };
}

const shownEntry = (entry: StatedEntry): z.input<typeof statedEntryAnswer> => ({
  ...shownPlace(entry),
  index: entry.index,
  kind: entry.kind,
  request: entry.ref ?? null,
  leaf: entry.leafHash.toString('base64'),
});

const cursorTo = ({ personId, runId, day: on }: StatementPlace, index?: number): string =>
  [personId, runId, on, ...(index === undefined ? [] : [index])].join('.');

/** Where a page begins, by its cursor. @throws RefusedError */
function placeIn(cursor: string): { place: StatementPlace; index: number | undefined } {
  const parts =
    /^(per_[0-9a-z]{26})\.((?:run_[0-9a-z]{26})?)\.(\d{4}-\d\d-\d\d)(?:\.(0|[1-9]\d{0,14}))?$/.exec(
      cursor,
    );
  const [, personId = '', runId = '', on = '', index] = parts ?? [];
  if (!parts || !day.safeParse(on).success) return badCursor();
  return {
    place: { personId, runId, day: on },
    index: index === undefined ? undefined : Number(index),
  };
}

const badCursor = (): never =>
  refuse('invalid_request', '"cursor" must be the "next" of the page before.');
