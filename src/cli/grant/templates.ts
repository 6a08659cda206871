/** The templates of grants (config/templates): a whole grant each, every choice explained, filled in with what is known. */
import { readFileSync } from 'node:fs';
import { isMap, parseDocument, type Document } from 'yaml';
import { SWITCHES, type Dialect, type Operation } from '../../core/vocabulary.ts';
import type { Endpoint } from '../wire.ts';

export interface Template {
  name: string;
  summary: string;
  /** How long its window is, unless something else is said. */
  days: number;
}

export const TEMPLATES: readonly [Template, ...Template[]] = [
  { name: 'safety-test', summary: 'a standard safety test: a month, a few people', days: 30 },
  { name: 'reproduction', summary: 'reproduction of one finding: a week, narrow', days: 7 },
  { name: 'metadata', summary: 'the list of models, and nothing else: for a first try', days: 90 },
];

/** What is known already. The rest is filled in by whoever writes the grant. */
export interface TemplateFacts {
  title?: string | undefined;
  lab?: string | undefined;
  endpoint?: string | undefined;
  model?: readonly string[] | undefined;
  researcher?: readonly string[] | undefined;
  maxPeople?: number | undefined;
  days?: number | undefined;
  /** What the endpoint offers at most; undefined where that is not known. */
  offered?: Pick<Endpoint, 'dialects' | 'features'> | undefined;
}

const DAY = 86_400_000;

const folder = new URL('../../../config/templates/', import.meta.url);

/**
 * A template with what is known filled in, and without what the endpoint does not offer.
 *
 * @param now epoch milliseconds: the window begins then
 * @returns the document, comments and all
 */
export function fillTemplate(template: Template, facts: TemplateFacts, now: number): Document {
  const document = parseDocument(readFileSync(new URL(`${template.name}.yaml`, folder), 'utf8'));
  const set = (path: string[], value: unknown): void => {
    if (value === undefined) return;
    const isPlain = typeof value !== 'object';
    document.setIn(path, isPlain ? value : document.createNode(value, { flow: false }));
  };
  set(['title'], facts.title);
  set(['lab'], facts.lab);
  const { endpoint, model = [], researcher = [], maxPeople, offered } = facts;
  if (endpoint !== undefined)
    set(['endpoints'], [{ endpoint, models: model.length > 0 ? model : ['FILL IN'] }]);
  if (researcher.length > 0 || maxPeople !== undefined)
    set(
      ['people'],
      researcher.map((person) => ({ person })),
    );
  if (maxPeople !== undefined) addAfter(document, 'people', 'maxPeople', maxPeople);
  if (offered) keepOffered(document, offered);
  const from = Math.floor(now / 1000) * 1000;
  set(['window', 'from'], instant(from));
  set(['window', 'until'], instant(from + (facts.days ?? template.days) * DAY));
  return document;
}

/** The document as a file, its lines as they were. */
export const textOf = (document: Document): string =>
  document.toString({ lineWidth: 0, flowCollectionPadding: false });

function addAfter(document: Document, before: string, name: string, value: unknown): void {
  const { contents } = document;
  if (!isMap(contents)) return;
  const place = contents.items.findIndex(({ key }) => String(key) === before);
  contents.items.splice(place + 1, 0, document.createPair(name, value));
}

/** Which dialect an operation belongs to; the list of models is of either. */
const DIALECT_OF: Record<Operation, Dialect | undefined> = {
  'chat.completions': 'openai',
  responses: 'openai',
  completions: 'openai',
  embeddings: 'openai',
  messages: 'anthropic',
  'messages.count_tokens': 'anthropic',
  models: undefined,
};

function keepOffered(
  document: Document,
  { dialects, features }: Pick<Endpoint, 'dialects' | 'features'>,
): void {
  const { operations } = document.toJS() as { operations: Operation[] };
  const isSpoken = (operation: Operation): boolean => {
    const dialect = DIALECT_OF[operation];
    return dialect === undefined || dialects.includes(dialect);
  };
  document.setIn(['operations'], document.createNode(operations.filter(isSpoken), { flow: true }));
  for (const name of Object.keys(SWITCHES))
    if (features[name] !== true) document.setIn(['features', name], false);
  const most = features['maxOutputTokens'];
  const granted = document.getIn(['features', 'maxOutputTokens']);
  if (typeof most === 'number' && Number(granted) > most)
    document.setIn(['features', 'maxOutputTokens'], most);
}

const instant = (at: number): string => new Date(at).toISOString().replace('.000Z', 'Z');
