/** Whether statements of the log say what the entries that they list come to, and what receipts show of these. No I/O. */
import { createHash } from 'node:crypto';
import type { ReceivedEntry } from './verify-receipt.ts';

/** A statement, as the broker gave it, by its checkpoint. */
export interface HeldStatement {
  person: string;
  run: string | null;
  /** UTC. */
  day: string;
  requests: number;
  outcomes: number;
  refusals: number;
  answered: number;
  inputTokens: number;
  outputTokens: number;
  entries: number;
  first: number;
  last: number;
  /** In base64, as are leafs. */
  digest: string;
}

/** An entry that the broker says the statements count. */
export interface HeldEntry {
  person: string;
  run: string | null;
  day: string;
  index: number;
  kind: string;
  request: string | null;
  leaf: string;
}

/** Which calls the statements were asked of. */
export interface HeldFilter {
  person?: string | undefined;
  run?: string | undefined;
  day?: string | undefined;
  since?: string | undefined;
}

/** Kinds of entries that statements count. */
export const COUNTED_KINDS: readonly string[] = [
  'request.intent',
  'request.outcome',
  'request.denied',
  'request.answered',
  'request.denied_repeatedly',
];

/** Whether something of a person, run and day is what was asked for. */
export function isWithin(
  {
    person,
    run,
    day,
  }: { person?: string | undefined; run?: string | null | undefined; day: string },
  asked: HeldFilter,
): boolean {
  return (
    (asked.person === undefined || asked.person === person) &&
    (asked.run === undefined || asked.run === run) &&
    (asked.day === undefined || asked.day === day) &&
    (asked.since === undefined || day >= asked.since)
  );
}

const nameOf = ({ person, run, day }: Pick<HeldEntry, 'person' | 'run' | 'day'>): string =>
  `${person}, ${run ?? 'no run'}, ${day}`;

/**
 * Recomputes every number of the statements.
 *
 * @param size of their checkpoint
 * @param shown what is proven of entries, by index
 * @returns a sentence for each thing that is wrong
 */
export function contradictions(
  size: number,
  asked: HeldFilter,
  statements: readonly HeldStatement[],
  listed: readonly HeldEntry[],
  shown: ReadonlyMap<number, ReceivedEntry>,
): string[] {
  const wrong: string[] = [];
  const groups = new Map<string, HeldEntry[]>();
  const indexes = new Set<number>();
  for (const entry of listed) {
    const name = nameOf(entry);
    const group = groups.get(name);
    if (group) group.push(entry);
    else groups.set(name, [entry]);
    if (indexes.has(entry.index)) wrong.push(`The broker lists entry ${entry.index} twice.`);
    indexes.add(entry.index);
    const proven = shown.get(entry.index);
    if (proven !== undefined && !isListedRight(entry, proven))
      wrong.push(
        `The broker lists entry ${entry.index} as ${entry.kind} of ${name}, and a receipt shows that it is ${proven.kind} of ${nameOf(placeOf(proven))}.`,
      );
  }
  const stated = new Set<string>();
  for (const statement of statements) {
    const name = nameOf(statement);
    if (stated.has(name)) wrong.push(`The broker made two statements of ${name}.`);
    stated.add(name);
    if (!isWithin(statement, asked))
      wrong.push(`The broker made a statement of ${name}, which was not asked for.`);
    const problem = problemOf(statement, groups.get(name) ?? [], size, shown);
    if (problem !== undefined) wrong.push(`The statement of ${name} ${problem}.`);
  }
  for (const name of groups.keys())
    if (!stated.has(name))
      wrong.push(`The broker lists entries of ${name}, of which it made no statement.`);
  return wrong;
}

const placeOf = ({ person = '', run, committedAt }: ReceivedEntry) => ({
  person,
  run: run ?? null,
  day: committedAt.slice(0, 10),
});

const isListedRight = (entry: HeldEntry, proven: ReceivedEntry): boolean =>
  entry.kind === proven.kind &&
  nameOf(entry) === nameOf(placeOf(proven)) &&
  // Of what was pruned, the broker has the leaf alone, which is the proven one's: it cannot name the request.
  (entry.request === null || entry.request === (proven.ref ?? null));

function problemOf(
  statement: HeldStatement,
  entries: readonly HeldEntry[],
  size: number,
  shown: ReadonlyMap<number, ReceivedEntry>,
): string | undefined {
  const isInOrder = entries.every(
    ({ index }, at) => index > (entries[at - 1]?.index ?? -1) && index < size,
  );
  if (!isInOrder)
    return 'lists its entries out of the order of the log, twice, or from behind its checkpoint';
  const digest = createHash('sha256');
  for (const { leaf } of entries) digest.update(Buffer.from(leaf, 'base64'));
  if (digest.digest('base64') !== statement.digest || entries.length !== statement.entries)
    return 'is not over the entries that the broker lists for it';
  const { first, last } = statement;
  if (entries.length === 0 || first !== entries[0]?.index || last !== entries.at(-1)?.index)
    return 'does not begin or end with the entries that the broker lists for it';
  const count = (kind: string): number => entries.filter((entry) => entry.kind === kind).length;
  if (
    count('request.intent') !== statement.requests ||
    count('request.outcome') !== statement.outcomes ||
    count('request.answered') !== statement.answered
  )
    return 'counts otherwise than the entries that it lists';
  const proven = entries.flatMap(({ index }) => shown.get(index) ?? []);
  const sum = (numberOf: (entry: ReceivedEntry) => number): number =>
    proven.reduce((all, entry) => all + numberOf(entry), 0);
  const unproven = entries.filter(({ index }) => !shown.has(index));
  // What no receipt shows can only add to what they show; refusals, at least one for each entry.
  const agrees = (states: number, shows: number): boolean =>
    unproven.length === 0 ? states === shows : states >= shows;
  const refused = sum(({ refusals }) => refusals);
  const more = unproven.filter(({ kind }) => kind.startsWith('request.denied')).length;
  if (!(more === 0 ? statement.refusals === refused : statement.refusals >= refused + more))
    return `counts ${statement.refusals} refusals, and its entries show ${refused}`;
  const [input, output] = [sum((one) => one.inputTokens), sum((one) => one.outputTokens)];
  if (agrees(statement.inputTokens, input) && agrees(statement.outputTokens, output))
    return undefined;
  return `counts ${statement.inputTokens} tokens in and ${statement.outputTokens} out, and its entries show ${input} and ${output}`;
}
