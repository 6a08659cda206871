/**
 * Entries as rows: the columns of CSV and Parquet. New ones are added at the end, and none is renamed or removed, so that
 * what was written for an older export goes on working.
 */
import { objectIn, type RawEntry } from './raw-entry.ts';

type ColumnType = 'text' | 'integer' | 'boolean' | 'moment';

/** Text for `text`, epoch milliseconds for `moment`; null: the entry says nothing of it. */
export type CellValue = string | number | boolean | null;

/** An entry with the parts of its data that most columns are of. */
interface Row {
  entry: RawEntry;
  data: Record<string, unknown>;
  reserved: Record<string, unknown>;
  usage: Record<string, unknown>;
  charged: Record<string, unknown>;
}

export interface Column {
  name: string;
  type: ColumnType;
  of: (row: Row) => CellValue;
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
const integer = (value: unknown): number | null =>
  Number.isSafeInteger(value) ? (value as number) : null;
const flag = (value: unknown): boolean | null => (typeof value === 'boolean' ? value : null);
const json = (value: unknown): string | null =>
  value === undefined ? null : JSON.stringify(value);

const ofEntry = (name: string, of: (entry: RawEntry) => unknown): Column => ({
  name,
  type: 'text',
  of: ({ entry }) => text(of(entry)),
});

/** Members of an entry's data that have a column each; the others are together in `data`. */
const FLAT = new Set([
  'end',
  'stream',
  'upstreamStatus',
  'durationMs',
  'firstByteMs',
  'requestBytes',
  'responseBytes',
  'requestCommitment',
  'responseCommitment',
  'modelAnswered',
  'modelMismatch',
  'message',
]);
/** Those whose own members have one each. */
const NESTED: Record<string, readonly string[]> = {
  reserved: ['tokens', 'spendNanoUsd'],
  usage: ['inputTokens', 'outputTokens', 'source'],
  charged: ['requests', 'tokens', 'spendNanoUsd'],
};

const column = (name: string, type: ColumnType, of: (row: Row) => unknown): Column => {
  const read = { text, integer, boolean: flag, moment: integer }[type];
  return { name, type, of: (row) => read(of(row)) };
};

export const COLUMNS: readonly Column[] = [
  { name: 'index', type: 'integer', of: ({ entry }) => entry.index },
  ofEntry('id', ({ id }) => id),
  ofEntry('kind', ({ kind }) => kind),
  { name: 'at', type: 'moment', of: ({ entry }) => Date.parse(entry.at) },
  { name: 'committed_at', type: 'moment', of: ({ entry }) => Date.parse(entry.committedAt) },
  ofEntry('log', ({ log }) => log),
  ofEntry('host', ({ host }) => host),
  ofEntry('actor_person', ({ actor }) => actor.person),
  ofEntry('actor_lab', ({ actor }) => actor.lab),
  ofEntry('actor_roles', ({ actor }) => json(actor.roles)),
  ofEntry('actor_system', ({ actor }) => actor.system),
  ofEntry('ref', ({ ref }) => ref),
  ofEntry('lab', ({ lab }) => lab),
  ofEntry('person', ({ person }) => person),
  ofEntry('grant', ({ grant }) => grant),
  column('grant_version', 'integer', ({ entry }) => entry.grantVersion),
  ofEntry('token', ({ token }) => token),
  ofEntry('purpose', ({ purpose }) => purpose),
  ofEntry('run', ({ run }) => run),
  ofEntry('endpoint', ({ endpoint }) => endpoint),
  ofEntry('model', ({ model }) => model),
  ofEntry('operation', ({ operation }) => operation),
  ofEntry('decision', ({ decision }) => decision),
  ofEntry('reason', ({ reason }) => reason),
  ofEntry('orders', ({ orders }) => json(orders)),
  column('end', 'text', ({ data }) => data['end']),
  column('stream', 'boolean', ({ data }) => data['stream']),
  column('upstream_status', 'integer', ({ data }) => data['upstreamStatus']),
  column('duration_ms', 'integer', ({ data }) => data['durationMs']),
  column('first_byte_ms', 'integer', ({ data }) => data['firstByteMs']),
  column('request_bytes', 'integer', ({ data }) => data['requestBytes']),
  column('response_bytes', 'integer', ({ data }) => data['responseBytes']),
  column('request_commitment', 'text', ({ data }) => data['requestCommitment']),
  column('response_commitment', 'text', ({ data }) => data['responseCommitment']),
  column('model_answered', 'text', ({ data }) => data['modelAnswered']),
  column('model_mismatch', 'boolean', ({ data }) => data['modelMismatch']),
  column('tokens_reserved', 'integer', ({ reserved }) => reserved['tokens']),
  column('spend_reserved_nano_usd', 'integer', ({ reserved }) => reserved['spendNanoUsd']),
  column('input_tokens', 'integer', ({ usage }) => usage['inputTokens']),
  column('output_tokens', 'integer', ({ usage }) => usage['outputTokens']),
  column('usage_source', 'text', ({ usage }) => usage['source']),
  column('requests_charged', 'integer', ({ charged }) => charged['requests']),
  column('tokens_charged', 'integer', ({ charged }) => charged['tokens']),
  column('spend_charged_nano_usd', 'integer', ({ charged }) => charged['spendNanoUsd']),
  column('message', 'text', ({ data }) => data['message']),
  { name: 'data', type: 'text', of: ({ data }) => restOf(data) },
];

const NOTHING: Record<string, unknown> = {};

/** An entry as the columns read it. */
export function rowOf(entry: RawEntry): Row {
  const { data = NOTHING } = entry;
  return {
    entry,
    data,
    reserved: objectIn(data, 'reserved'),
    usage: objectIn(data, 'usage'),
    charged: objectIn(data, 'charged'),
  };
}

/** What of an entry's data has no column of its own, as JSON. Nothing of an entry is lost in a row. */
function restOf(data: Record<string, unknown>): string | null {
  const rest: Record<string, unknown> = {};
  let isEmpty = true;
  for (const [name, value] of Object.entries(data)) {
    if (hasColumns(name, value)) continue;
    rest[name] = value;
    isEmpty = false;
  }
  return isEmpty ? null : JSON.stringify(rest);
}

function hasColumns(name: string, value: unknown): boolean {
  const members = NESTED[name];
  if (members === undefined) return FLAT.has(name) && isFlat(name, value);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.keys(value).every((member) => members.includes(member));
}

const TYPE_OF_FLAT = new Map(
  COLUMNS.flatMap(({ name, type }) => {
    const member = name.replaceAll(/_([a-z])/g, (_all, letter: string) => letter.toUpperCase());
    return FLAT.has(member) ? [[member, type] as const] : [];
  }),
);

/** Whether a member is of its column's type: what is not would be missing there. */
function isFlat(name: string, value: unknown): boolean {
  const type = TYPE_OF_FLAT.get(name);
  if (type === 'integer') return Number.isSafeInteger(value);
  return typeof value === (type === 'boolean' ? 'boolean' : 'string');
}
