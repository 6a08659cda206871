/** What a request asks for, read from its body; and whether a grant allows it. */
import type { Features, Switch } from '../vocabulary.ts';
import { SWITCHES } from '../vocabulary.ts';
import { refusal, type Refusal } from '../denials.ts';

export type JsonObject = { [key: string]: unknown };

/** A feature that a field of the body uses. */
export interface Use {
  feature: Switch;
  field: string;
}

export interface Inspection {
  model: string;
  stream: boolean;
  uses: Use[];
  /** Answers asked for, to each prompt. */
  n: number;
  /** Answers that can come of it in all: `n` to each prompt where a request has several. */
  answers: number;
  /** Output tokens asked for at most, per answer; null where the request leaves it open. */
  maxOutputTokens: number | null;
  /** The field that asks for it, where that is not `max_tokens`. */
  maxOutputTokensField?: string;
  /** Fields that this gateway does not know, at any depth: the first few of them. */
  unknownFields: string[];
  /** Parts of the input whose cost does not show in the body's length, such as images by URL. */
  mediaParts: number;
  /** Messages, items or prompts, each of which the upstream may wrap in tokens of its own. */
  messages: number;
  /** Whether tools are described, which the upstream writes into the prompt. */
  tools: boolean;
}

/** A body that is not what its API defines. */
export class MalformedBody extends Error {
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.name = 'MalformedBody';
    this.field = field;
  }
}

/** A body can have very many unknown fields, and is refused for the first. */
const MOST_NAMED = 8;

/** Collects what is found while a body is read. */
export class Findings {
  readonly uses: Use[] = [];
  readonly unknownFields: string[] = [];
  mediaParts = 0;

  use(feature: Switch, field: string): void {
    this.uses.push({ feature, field });
  }

  unknown(field: string): void {
    if (this.unknownFields.length < MOST_NAMED) this.unknownFields.push(field);
  }
}

/** A field's name as it may stand in an answer and in the log: names are the client's text, so only plain ones. */
export function plainName(name: string): string {
  return /^[A-Za-z0-9_.-]{1,64}$/.test(name) ? name : '(unprintable name)';
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function objectAt(value: unknown, field: string): JsonObject {
  if (!isObject(value)) throw new MalformedBody(field, `"${field}" must be an object.`);
  return value;
}

export function listAt(value: unknown, field: string): unknown[] {
  if (!Array.isArray(value)) throw new MalformedBody(field, `"${field}" must be a list.`);
  return value;
}

/** A positive whole number, or null where the field is absent or null. */
export function countAt(body: JsonObject, field: string): number | null {
  const value = body[field];
  if (value === undefined || value === null) return null;
  if (!Number.isSafeInteger(value) || (value as number) < 1)
    throw new MalformedBody(field, `"${field}" must be a whole number of at least 1.`);
  return value as number;
}

export function modelOf(body: JsonObject): string {
  const { model } = body;
  if (typeof model !== 'string' || model === '')
    throw new MalformedBody('model', '"model" must name a model.');
  return model;
}

export function streamOf(body: JsonObject): boolean {
  const { stream } = body;
  if (stream === undefined || stream === null) return false;
  if (typeof stream !== 'boolean')
    throw new MalformedBody('stream', '"stream" must be true or false.');
  return stream;
}

/**
 * Holds an inspection against what the grant and the endpoint allow; the narrower of both counts.
 *
 * @param granted of the grant, what the token did not give up
 * @param whole all that the grant gives
 * @returns why it is refused, naming field and feature, and who does not allow it; or null
 */
export function checkScope(
  inspection: Inspection,
  granted: Features,
  offered: Features,
  unknownFields: 'refuse' | 'pass',
  whole: Features = granted,
): Refusal | null {
  const [unknown] = inspection.unknownFields;
  if (unknown !== undefined && unknownFields === 'refuse') {
    return refusal(
      'unknown_field',
      `This gateway does not know the field "${unknown}", or not that value of it, so it is not passed on. Leave it out.`,
      { param: unknown },
    );
  }
  for (const { feature, field } of inspection.uses) {
    if (granted[feature] && offered[feature]) continue;
    const narrower = whole[feature] ? 'token does not allow' : 'grant does not allow';
    const who = granted[feature] ? 'endpoint does not offer' : narrower;
    return refusal(
      'feature_not_granted',
      `The ${who} the feature "${feature}" (${SWITCHES[feature].toLowerCase()}), which "${field}" uses.`,
      { param: field },
    );
  }
  const n = Math.min(granted.n, offered.n);
  if (inspection.n > n)
    return refusal(
      'feature_not_granted',
      `The ${whoseMost('n', granted, offered, whole)} allows at most ${n} ${n === 1 ? 'answer' : 'answers'} to one request ("n").`,
      { param: 'n' },
    );
  const most = mostOutputTokens(granted, offered);
  if (inspection.maxOutputTokens !== null && inspection.maxOutputTokens > most) {
    return refusal(
      'feature_not_granted',
      `The ${whoseMost('maxOutputTokens', granted, offered, whole)} allows at most ${most} output ${most === 1 ? 'token' : 'tokens'} to one answer; the request asks for ${inspection.maxOutputTokens}.`,
      { param: inspection.maxOutputTokensField ?? 'max_tokens' },
    );
  }
  return null;
}

/** Whose maximum is the one that counts. */
function whoseMost(
  name: 'n' | 'maxOutputTokens',
  granted: Features,
  offered: Features,
  whole: Features,
): 'endpoint' | 'grant' | 'token' {
  if (offered[name] < granted[name]) return 'endpoint';
  return granted[name] < whole[name] ? 'token' : 'grant';
}

export function mostOutputTokens(granted: Features, offered: Features): number {
  return Math.min(granted.maxOutputTokens, offered.maxOutputTokens);
}
