/**
 * The last checkpoint that this machine saw of each log. A log that goes back behind it, or that does not contain it,
 * was shown in two versions; the two checkpoints, both signed, are then kept as the proof.
 */
import { hash, randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { KeyHistoryError, parseKeyHistory } from '../../core/audit/key-history.ts';
import { NoteError } from '../../core/audit/note.ts';
import {
  CheckpointError,
  openCheckpoint,
  type Checkpoint,
  type LogKey,
} from '../../core/tlog/checkpoint.ts';
import type { RememberedHistory } from '../../verify/trusted-keys.ts';
import { fileTrouble } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';

type Env = Surroundings['env'];

/** How the names of histories of keys end. */
const HISTORY = '.keys';

/** What is known of a log from before. */
export interface Seen {
  /** The checkpoint; undefined where none was seen, or it says nothing under the keys that are trusted now. */
  checkpoint: Checkpoint | undefined;
  /** As it was signed. */
  note: string | undefined;
  /** Why what was kept is of no use. */
  useless: string | undefined;
  /** Whether there is one that nothing could be compared with. */
  isLeftOut: boolean;
}

/** Where they are kept: `$SALLYPORT_HOME/seen`, else in the user's folder for states. */
function seenFolder(env: Env): string {
  const home = env['SALLYPORT_HOME'];
  if (home) return join(resolve(home), 'seen');
  const state = env['XDG_STATE_HOME'] || join(env['HOME'] || homedir(), '.local', 'state');
  return join(state, 'sallyport', 'seen');
}

/** What was kept of a log, not looked at yet. */
export interface Kept {
  note?: string;
  /** Why it cannot be read. */
  useless?: string;
  /** Whether there is none because there can be none where it would be. */
  isAbsent?: boolean;
}

/**
 * Reads what was kept of a log. What is to be held against it is to be asked for afterwards: another check may keep a newer
 * one at any time.
 */
export function readKept(env: Env, origin: string): Kept {
  const path = pathOf(env, origin);
  try {
    return { note: readFileSync(path, 'utf8') };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    const useless = `Nothing was compared with what was seen before: cannot read ${path}: ${fileTrouble(error)}.`;
    return { useless, isAbsent: isAbsent(error) };
  }
}

/**
 * The last checkpoint of the log that was kept, if a key that counts signed it, or one that the caller trusts: whatever
 * the log says of its keys now, it was found sound when it was kept.
 *
 * @param known keys that count, by what the log says of them
 * @param trusted keys that the caller gave
 */
export function lastSeen(
  env: Env,
  origin: string,
  known: readonly LogKey[],
  trusted: readonly LogKey[],
  kept: Kept = readKept(env, origin),
): Seen {
  const path = pathOf(env, origin);
  const nothing: Seen = {
    checkpoint: undefined,
    note: undefined,
    useless: undefined,
    isLeftOut: false,
  };
  const { note } = kept;
  if (note === undefined) {
    const isLeftOut = kept.useless !== undefined && kept.isAbsent !== true;
    return { ...nothing, useless: kept.useless, isLeftOut };
  }
  try {
    return { ...nothing, checkpoint: openByEither(note, known, trusted), note };
  } catch (error) {
    return {
      ...nothing,
      useless: `The checkpoint of ${origin} that was seen before (${path}) was not signed by a key that counts, so nothing was compared with it, and a fork would not show. If the log's key was replaced, give the history of its keys with --history FILE ("sallyport audit key --history --json" prints it); if what was seen is of no matter any more, remove that file. ${(error as Error).message}`,
      isLeftOut: true,
    };
  }
}

/**
 * Keeps a checkpoint whose log was found sound, and the history of the log's keys where it has one; unless one is kept by now
 * that is as new: of checks at the same time, the one that ends last need not be the one that saw most.
 *
 * @param known as {@link lastSeen} takes them, and so are those that are trusted
 * @returns what went wrong; undefined if nothing. Not being able to remember is no verdict on the log.
 */
export async function remember(
  env: Env,
  origin: string,
  { note, history }: { note: string; history: string | undefined },
  known: readonly LogKey[],
  trusted: readonly LogKey[],
): Promise<string | undefined> {
  const path = pathOf(env, origin);
  try {
    mkdirSync(seenFolder(env), { recursive: true, mode: 0o700 });
    return await alone(`${path}.lock`, () => {
      const { checkpoint, useless } = lastSeen(env, origin, known, trusted);
      if (useless !== undefined) return useless;
      const { size } = openByEither(note, known, trusted);
      if (checkpoint && checkpoint.size >= size) return undefined;
      const problem = history === undefined ? undefined : write(env, `${path}${HISTORY}`, history);
      return problem ?? write(env, path, note);
    });
  } catch (error) {
    return `Cannot write ${path}: ${fileTrouble(error)}.`;
  }
}

/** What is done with the lock takes milliseconds: one that is older was left by a crash. */
const STALE_MS = 10_000;
const LOOK_EVERY_MS = 20;

/** Does something while no other process does anything with the same lock. */
async function alone<T>(lock: string, act: () => T): Promise<T> {
  const mine = randomUUID();
  for (;;) {
    try {
      writeFileSync(lock, mine, { mode: 0o600, flag: 'wx' });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    if (isStale(lock)) breakLock(lock);
    await delay(LOOK_EVERY_MS);
  }
  try {
    return act();
  } finally {
    // One that stood still for long may have been taken for a crash.
    if (statSync(lock, { throwIfNoEntry: false }) && readFileSync(lock, 'utf8') === mine)
      rmSync(lock, { force: true });
  }
}

/**
 * Takes away a lock that a crash left. One process at a time, and it looks again: of two that found it, the second would else
 * take away the new lock of the first.
 */
function breakLock(lock: string): void {
  const breaking = `${lock}.breaking`;
  try {
    writeFileSync(breaking, '', { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (isStale(breaking))
      throw new Error(`${breaking} was left by a crash: remove it`, { cause: error });
    return;
  }
  try {
    if (isStale(lock)) rmSync(lock, { force: true });
  } finally {
    rmSync(breaking, { force: true });
  }
}

function isStale(file: string): boolean {
  const since = statSync(file, { throwIfNoEntry: false })?.mtimeMs;
  return since !== undefined && Date.now() - since > STALE_MS;
}

/**
 * The history of a log's keys that was kept. No other history of the log may take its place.
 *
 * @returns the history; or why what was kept is of no use; or neither
 */
export function rememberedHistory(
  env: Env,
  origin: string,
): { history?: RememberedHistory; useless?: string } {
  const where = `${pathOf(env, origin)}${HISTORY}`;
  try {
    const document = readFileSync(where, 'utf8');
    parseKeyHistory(document);
    return { history: { document, where } };
  } catch (error) {
    if (isAbsent(error)) return {};
    const why = error instanceof KeyHistoryError ? error.message : `${fileTrouble(error)}.`;
    const useless = `The history of the keys of ${origin} that was seen before is of no use, and nothing was compared with it (${where}): ${why}`;
    return { useless };
  }
}

/** Whether there is no such file, nor a folder that it could be in. */
function isAbsent(error: unknown): boolean {
  const { code = '' } = error as NodeJS.ErrnoException;
  return ['ENOENT', 'ENOTDIR'].includes(code);
}

function openByEither(
  note: string,
  known: readonly LogKey[],
  trusted: readonly LogKey[],
): Checkpoint {
  try {
    return openCheckpoint(note, known);
  } catch (error) {
    if (!(error instanceof NoteError || error instanceof CheckpointError)) throw error;
    return openCheckpoint(note, trusted);
  }
}

/** The proof that a log was shown in two versions: two checkpoints, as they were signed. */
export interface Conflict {
  origin: string;
  /** `rollback` or `fork`. */
  standing: string;
  /** Where the later one came from. */
  target: string;
  /** Epoch milliseconds. */
  foundAt: number;
  seen: string;
  now: string;
}

/** Keeps a proof. Returns where, and what went wrong. */
export function keepConflict(
  env: Env,
  conflict: Conflict,
): { path: string; problem: string | undefined } {
  const id = hash('sha256', `${conflict.seen}\n${conflict.now}`, 'hex').slice(0, 16);
  const path = `${pathOf(env, conflict.origin)}.${conflict.standing}-${id}.json`;
  const text = JSON.stringify(
    { ...conflict, foundAt: new Date(conflict.foundAt).toISOString() },
    null,
    2,
  );
  return { path, problem: write(env, path, `${text}\n`) };
}

/** Names of logs can be those of no file. */
function pathOf(env: Env, origin: string): string {
  const readable = origin.replaceAll(/[^A-Za-z0-9._-]/g, '_').slice(0, 80);
  return join(seenFolder(env), `${readable}-${hash('sha256', origin, 'hex').slice(0, 16)}`);
}

/** Whole or not at all: a reader never sees half a file. */
function write(env: Env, path: string, text: string): string | undefined {
  const draft = `${path}.${randomUUID()}`;
  try {
    mkdirSync(seenFolder(env), { recursive: true, mode: 0o700 });
    writeFileSync(draft, text, { mode: 0o600, flag: 'wx' });
    renameSync(draft, path);
    return undefined;
  } catch (error) {
    rmSync(draft, { force: true });
    return `Cannot write ${path}: ${fileTrouble(error)}.`;
  }
}
