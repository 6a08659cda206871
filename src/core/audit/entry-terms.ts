/** What an entry can be found by: its terms, read from the bytes that are its leaf. */

/** What terms say something about. `mention`: an id that stands anywhere in the entry and is none of the others. */
export type TermField = (typeof OF_HEAD)[number] | 'actor' | 'end' | 'order' | 'mention';

/** A field and a value of it. */
export type Term = readonly [TermField, string];

/** What stands in an entry ahead of its data, as far as it is looked at. */
interface Head {
  id: string;
  kind: string;
  actor: { person?: string; system?: string };
  ref?: string;
  lab?: string;
  person?: string;
  grant?: string;
  token?: string;
  purpose?: string;
  run?: string;
  endpoint?: string;
  model?: string;
  operation?: string;
  decision?: string;
  reason?: string;
  orders?: string[];
}

const OF_HEAD = [
  'kind',
  'ref',
  'lab',
  'person',
  'grant',
  'token',
  'run',
  'purpose',
  'endpoint',
  'model',
  'operation',
  'decision',
  'reason',
] as const;

/** An entry of an order, a token or a run is about it, whether it names it once more or not. */
const BY_REF: Partial<Record<string, TermField>> = { ord_: 'order', tok_: 'token', run_: 'run' };

/** In JSON, these characters stand together nowhere else: inside a text, a quote has a backslash before it. */
const DATA = ',"data":{';
const END = '"end":"';
const NOTED_BY = '"notedBy":[';
const REF = ',"ref":"';

const ID = /"([a-z]{3}_[0-9a-z]{26})"/g;

/**
 * The terms of an entry, each once. Of the two entries of a request the data are looked at for how it ended and the
 * orders that watched it, and no further: there are too many of them.
 *
 * @param text the entry's bytes, as UTF-8
 * @throws SyntaxError when this is no entry
 */
export function termsOf(text: string): Term[] {
  const dataAt = text.indexOf(DATA);
  const head = JSON.parse(dataAt === -1 ? text : `${text.slice(0, dataAt)}}`) as Head;
  const terms: Term[] = [];
  for (const field of OF_HEAD) {
    const value = head[field];
    if (value !== undefined) terms.push([field, value]);
  }
  const { actor, ref = '', orders = [] } = head;
  terms.push(['actor', actor.person ?? actor.system ?? '']);
  for (const order of orders) terms.push(['order', order]);
  if (head.kind === 'request.intent') {
    for (const order of idsAfter(text, NOTED_BY, dataAt)) terms.push(['order', order]);
    return unique(terms);
  }
  if (head.kind === 'request.outcome') {
    const end = valueAfter(text, END, dataAt);
    if (end !== undefined) terms.push(['end', end]);
    return unique(terms);
  }
  const byRef = BY_REF[ref.slice(0, 4)];
  if (byRef) terms.push([byRef, ref]);
  const named = new Set<string>([head.id, ...terms.map(([, value]) => value)]);
  for (const [, id = ''] of text.matchAll(ID)) {
    if (named.has(id)) continue;
    named.add(id);
    terms.push(['mention', id]);
  }
  return unique(terms);
}

function unique(terms: Term[]): Term[] {
  return terms.filter(
    ([field, value], i) =>
      terms.findIndex((other) => other[0] === field && other[1] === value) === i,
  );
}

function valueAfter(text: string, name: string, from: number): string | undefined {
  const at = from === -1 ? -1 : text.indexOf(name, from);
  if (at === -1) return undefined;
  const begin = at + name.length;
  return text.slice(begin, text.indexOf('"', begin));
}

function idsAfter(text: string, name: string, from: number): string[] {
  const at = from === -1 ? -1 : text.indexOf(name, from);
  if (at === -1) return [];
  const begin = at + name.length - 1;
  return JSON.parse(text.slice(begin, text.indexOf(']', begin) + 1)) as string[];
}

const KIND = '"kind":"';
const LAB = ',"lab":"';

/**
 * What the terms of a request's entry follow from: two entries with the same group and key have the same terms, but for
 * their ref. To find this costs a fifth of what it costs to read the terms.
 *
 * @param text the entry's bytes, as UTF-8
 * @returns undefined for other entries, and for those of which it does not say all
 */
export function likenessOf(text: string): { group: string; key: string } | undefined {
  const kindAt = text.indexOf(KIND) + KIND.length;
  const isIntent = text.startsWith('request.intent"', kindAt);
  if (!isIntent && !text.startsWith('request.outcome"', kindAt)) return undefined;
  const dataAt = text.indexOf(DATA, kindAt);
  // The first is the actor's, who is the person that the request is of.
  const labAt = text.indexOf(LAB, text.indexOf(REF, kindAt));
  if (dataAt === -1 || labAt === -1 || labAt > dataAt) return undefined;
  const key = text.slice(labAt, dataAt);
  if (isIntent) return text.includes(NOTED_BY, dataAt) ? undefined : { group: '', key };
  return { group: valueAfter(text, END, dataAt) ?? '', key };
}

const COMMITTED_AT = '"committedAt":"';

/** When the writer appended an entry, in epoch milliseconds. @param text the entry's bytes, as UTF-8 */
export const committedAtOf = (text: string): number => Date.parse(committedText(text));

/** The same as it stands there: RFC 3339 in UTC to the millisecond, so that texts compare as times do. */
export function committedText(text: string): string {
  const at = text.indexOf(COMMITTED_AT) + COMMITTED_AT.length;
  return text.slice(at, text.indexOf('"', at));
}
