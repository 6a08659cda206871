/** Upstream credentials: read by reference, kept in memory only, read again when their file changes. */
import { stat } from 'node:fs/promises';
import { refusal } from '../core/denials.ts';
import type { Logger } from '../lib/log.ts';
import { readSecretFile, stateOf } from '../lib/secret-file.ts';
import { CredentialMask, type Secrets } from './credential-mask.ts';

/** A file is looked at this often. */
const LOOK_EVERY_MS = 1_000;

/** Requests that began with a former credential can still be answered with what quotes it. */
const MOST_FORMER = 16;

/** What is shorter is no secret, and may be a word that a model says: it is looked for in errors alone. */
const LEAST_SECRET_LENGTH = 16;

/** Why an answer that quotes one goes to nobody. */
export const QUOTES_CREDENTIAL = refusal(
  'upstream_invalid',
  "The model endpoint's answer quoted a credential of the host lab.",
);

/** The secret that a reference of the configuration names: `env:NAME` or `file:PATH`. */
export class Credential {
  readonly #log: Logger;
  readonly #path: string | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  #secret: string;
  #former: string[] = [];
  #quotes: Quotes;
  /** What the file looked like when it was read last, or failed to be. */
  #seen = '';
  #isLooking = false;

  /** @throws with what to do, never with the secret */
  constructor(reference: string, log: Logger) {
    this.#log = log;
    if (reference.startsWith('env:')) {
      this.#secret = readVariable(reference.slice('env:'.length));
      this.#quotes = quotesOf([this.#secret]);
      return;
    }
    this.#path = reference.slice('file:'.length);
    this.#secret = readSecret(this.#path, (state) => (this.#seen = state));
    this.#quotes = quotesOf([this.#secret]);
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY_MS).unref();
  }

  get secret(): string {
    return this.#secret;
  }

  /** Whether a text holds the secret, or one that it replaced, also with the escapes of JSON. */
  isQuotedIn(text: string, { isError }: { isError: boolean }): boolean {
    return this.#quotes[isError ? 'inErrors' : 'inAnswers'].one.test(text);
  }

  /** What overwrites the same in the bytes of an answer. */
  mask({ isError }: { isError: boolean }): CredentialMask {
    const { inErrors, inAnswers } = this.#quotes;
    const isComplete = isError || inErrors.texts.length === inAnswers.texts.length;
    return new CredentialMask(() => this.#quotes[isError ? 'inErrors' : 'inAnswers'], isComplete);
  }

  /** Reads the file again if it has changed. What cannot be used is logged once, and the old secret stays. */
  async look(): Promise<void> {
    const path = this.#path;
    if (path === undefined || this.#isLooking) return;
    this.#isLooking = true;
    try {
      const state = await stat(path, { bigint: true }).then(stateOf, () => 'missing');
      if (state !== this.#seen) this.#readAgain(path, state);
    } finally {
      this.#isLooking = false;
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #readAgain(path: string, state: string): void {
    this.#seen = state;
    try {
      const secret = readSecret(path, (now) => (this.#seen = now));
      if (secret === this.#secret) return;
      this.#former = [this.#secret, ...this.#former].slice(0, MOST_FORMER);
      this.#secret = secret;
      this.#quotes = quotesOf([secret, ...this.#former]);
      this.#log.info({ path }, 'an upstream credential was read again');
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#log.error(
        { path, why },
        'an upstream credential changed and cannot be used: the old one stays',
      );
    }
  }
}

/** Finds secrets: in errors, and in answers, where only those are looked for that no model says by chance. */
interface Quotes {
  inErrors: Secrets;
  inAnswers: Secrets;
}

function quotesOf(secrets: readonly string[]): Quotes {
  return {
    inErrors: anyOf(secrets),
    inAnswers: anyOf(secrets.filter(({ length }) => length >= LEAST_SECRET_LENGTH)),
  };
}

/** Matches these texts as they are and as JSON may write them (RFC 8259, 7); nothing if there are none. */
function anyOf(secrets: readonly string[]): Secrets {
  // The longest first: one may be the beginning of another.
  const texts = secrets.toSorted((one, other) => other.length - one.length);
  const patterns = texts.map((secret) => Array.from(secret, inJson).join(''));
  const source = patterns.join('|') || '(?!)';
  return { texts, one: new RegExp(source), all: new RegExp(source, 'g') };
}

/** One printable character of ASCII: itself, behind a backslash, or by its number. */
function inJson(character: string): string {
  const code = character.charCodeAt(0).toString(16);
  const eitherCase = code.replace(/[a-f]/, (digit) => `[${digit}${digit.toUpperCase()}]`);
  return String.raw`(?:\\?\x${code}|\\u00${eitherCase})`;
}

function readSecret(path: string, found: (state: string) => void): string {
  const secret = readSecretFile(path, found).trim();
  if (!secret) throw new Error(`The credential file ${path} is empty.`);
  return assertHeaderSafe(secret, `file:${path}`);
}

function readVariable(name: string): string {
  const secret = process.env[name]?.trim();
  if (!secret)
    throw new Error(
      `The environment variable ${name}, which holds an upstream credential, is not set.`,
    );
  return assertHeaderSafe(secret, `env:${name}`);
}

function assertHeaderSafe(secret: string, reference: string): string {
  if (!/^[\x21-\x7e]+$/.test(secret))
    throw new Error(`The credential of ${reference} has characters that cannot stand in a header.`);
  return secret;
}
