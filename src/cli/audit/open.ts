/** `sallyport audit open`: opens files of transcripts offline. Neither network nor profile is touched. */
import { createReadStream, mkdirSync, openSync, closeSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { KeyObject } from 'node:crypto';
import type { Command } from 'commander';
import { AgeFailure } from '../../audit/sealing/age-failure.ts';
import { readIdentities } from '../../audit/sealing/age-identity.ts';
import {
  TranscriptOpener,
  committedBy,
  standingOf,
  verdictOn,
  type CommittedBody,
  type FoundBody,
  type Verdict,
} from '../../audit/sealing/open-transcript.ts';
import { EXIT_CODES } from '../../audit/verify-bundle.ts';
import { NotRecords, type BodyRecord } from '../../core/transcripts/records.ts';
import { id } from '../arguments.ts';
import { defineCommand, setUsageExitCode, withJson } from '../define.ts';
import { note, printJson, printTable, type JsonOption } from '../output.ts';
import { manyLines } from '../printable.ts';
import { QuietExit, fileTrouble, wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';

interface OpenOptions extends JsonOption {
  identity?: string;
  entry?: string[];
  request?: string;
  out?: string;
}

const EXIT_CODES_HELP = `Exit codes:
  ${EXIT_CODES.sound}  opened; nothing in it differs from the entries that were given
  ${EXIT_CODES.tampered}  changed: the file, or a body in it, is not what the log commits to
  ${EXIT_CODES.incomplete}  incomplete: what is there opens, and its end is missing
  ${EXIT_CODES.could_not_run}  could not run: it is no file of transcripts, or sealed to another key (wrong usage included)`;

export function addAuditOpen(group: Command, around: Surroundings): void {
  const command = defineCommand(group, 'open <file>', {
    summary: 'Open a file of transcripts, and check it against the log, offline',
    details:
      'Takes a file as "audit transcript --out" writes it, and the key of one of its recipients, as "audit new-identity" or "age-keygen" makes it. Each body is held against the commitments in the entries that are given. A file can hold other calls under the grant, too: --request picks one. Needs no broker, no network and no profile.',
    examples: [
      'sallyport audit open req_01….response.age --identity key.txt --entry req_01….entries.json',
      'sallyport audit open req_01….response.age --identity key.txt --out opened',
    ],
    exitCodes: EXIT_CODES_HELP,
  });
  setUsageExitCode(command, EXIT_CODES.could_not_run);
  withJson(command)
    .option('--identity <file>', 'the key that opens it; what is kept in full needs none')
    .option(
      '--entry <file>',
      'entries of the log, as JSON, a list of them, or one a line; can be given again',
      oneMore,
    )
    .option('--request <id>', 'only the bodies of this request', id('req'))
    .option('--out <folder>', 'write each body into a file of its own, in place of printing it')
    .action(async (path: string, options: OpenOptions) => {
      const result = await openOrSayWhy(around, path, options);
      print(around, result, options);
      throw new QuietExit(EXIT_CODES[result.status]);
    });
}

/** Each time that the option is given. */
function oneMore(path: string, before: string[] = []): string[] {
  return [...before, path];
}

interface OpenedFile {
  status: keyof typeof EXIT_CODES;
  sha256: string;
  bodies: (FoundBody & { verdict: Verdict })[];
  /** What was printed of them is in here, unless it went into files. */
  texts: Map<string, Buffer[]>;
  problem: string | undefined;
}

/** What cannot be read or written says nothing about the file: it must not look like a finding. */
async function openOrSayWhy(
  around: Surroundings,
  path: string,
  options: OpenOptions,
): Promise<OpenedFile> {
  try {
    return await open(path, options);
  } catch (error) {
    note(around, `sallyport: ${error instanceof Error ? error.message : String(error)}`);
    throw new QuietExit(EXIT_CODES.could_not_run);
  }
}

const keyOf = ({ request, part }: { request: string; part: string }): string =>
  `${request}.${part}`;

/** A body that is printed is held in memory: a longer one goes into a file. */
const MOST_PRINTED_BYTES = 1 << 20;

async function open(path: string, options: OpenOptions): Promise<OpenedFile> {
  const committed = (options.entry ?? []).flatMap(readEntries);
  const opener = new TranscriptOpener(identitiesIn(options.identity));
  const texts = new Map<string, Buffer[]>();
  const keep = keeper(options, texts);
  let problem: AgeFailure | NotRecords | undefined;
  try {
    for await (const piece of createReadStream(path)) keep(opener.push(piece as Buffer));
    keep(opener.end());
  } catch (error) {
    if (!(error instanceof AgeFailure || error instanceof NotRecords))
      throw wrongUsage(`Cannot read ${path}: ${fileTrouble(error)}.`, error);
    problem = error;
  }
  const file = opener.file();
  const { sha256 } = file;
  const standing = standingOf(file, committed);
  const bodies = opener
    .bodies()
    .filter(({ request }) => options.request === undefined || request === options.request)
    .map((found) => ({ ...found, verdict: verdictOn(found, { sha256, standing }, committed) }));
  const found = settle(bodies, standing, problem);
  return { ...found, sha256, bodies, texts };
}

/** What the entries say of the file comes first: a file that was swapped may open with the same key. */
function settle(
  bodies: readonly { verdict: Verdict; isWhole: boolean }[],
  standing: ReturnType<typeof standingOf>,
  failure: AgeFailure | NotRecords | undefined,
): Pick<OpenedFile, 'status' | 'problem'> {
  const ageProblem = failure instanceof AgeFailure ? failure.problem : undefined;
  if (ageProblem === 'not_for_this_key')
    return { status: 'could_not_run', problem: failure?.message };
  if (standing === 'other')
    return {
      status: 'tampered',
      problem:
        'It is none of the files that the entries name: it was changed, or another was put in its place.',
    };
  if (ageProblem === 'cut') return { status: 'incomplete', problem: failure?.message };
  if (ageProblem === 'changed') return { status: 'tampered', problem: failure?.message };
  if (failure) return { status: 'could_not_run', problem: failure.message };
  if (bodies.length === 0 && standing !== 'cut')
    return { status: 'could_not_run', problem: 'It holds nothing of what was asked for.' };
  if (bodies.some(({ verdict }) => verdict === 'differs'))
    return { status: 'tampered', problem: undefined };
  const isWhole = standing !== 'cut' && bodies.every((body) => body.isWhole);
  return { status: isWhole ? 'sound' : 'incomplete', problem: undefined };
}

function identitiesIn(path: string | undefined): KeyObject[] {
  if (path === undefined) return [];
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw wrongUsage(`Cannot read ${path}: ${fileTrouble(error)}.`, error);
  }
  try {
    return readIdentities(text);
  } catch (error) {
    throw wrongUsage(`${path} cannot be used: ${(error as Error).message}`, error);
  }
}

/** Entries in a file: one, a list of them, an answer of the API, or one a line. */
function readEntries(path: string): CommittedBody[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw wrongUsage(`Cannot read ${path}: ${fileTrouble(error)}.`, error);
  }
  const found = parsed(text).flatMap(entriesIn).flatMap(committedBy);
  if (found.length === 0) throw wrongUsage(`${path} holds no entry of a request.`);
  return found;
}

function parsed(text: string): unknown[] {
  const parse = (json: string): unknown[] => {
    try {
      return [JSON.parse(json)];
    } catch {
      return [];
    }
  };
  const whole = parse(text);
  return whole.length > 0 ? whole : text.split('\n').flatMap(parse);
}

function entriesIn(value: unknown): unknown[] {
  if (Array.isArray(value)) return value.flatMap(entriesIn);
  if (typeof value !== 'object' || value === null) return [];
  if ('items' in value) return entriesIn(value.items);
  return 'entry' in value ? entriesIn(value.entry) : [value];
}

/** Where opened records go: into files, or into memory to be printed. */
function keeper(
  { out, request: only }: OpenOptions,
  texts: Map<string, Buffer[]>,
): (records: readonly BodyRecord[]) => void {
  const begun = new Set<string>();
  return (records) => {
    for (const { head, bytes } of records) {
      if (only !== undefined && head.request !== only) continue;
      const key = keyOf(head);
      if (out !== undefined) append(join(out, key), out, bytes, !begun.has(key));
      else {
        const room = MOST_PRINTED_BYTES - sizeOf(texts.get(key));
        if (room > 0)
          texts.set(key, [...(texts.get(key) ?? []), Buffer.from(bytes.subarray(0, room))]);
      }
      begun.add(key);
    }
  };
}

const sizeOf = (pieces: readonly Buffer[] = []): number =>
  pieces.reduce((sum, { length }) => sum + length, 0);

function append(path: string, folder: string, bytes: Uint8Array, isFirst: boolean): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const file = openSync(path, isFirst ? 'wx' : 'a', 0o600);
    writeSync(file, bytes);
    closeSync(file);
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
    const why = exists ? 'it exists already, and is not overwritten' : fileTrouble(error);
    throw wrongUsage(`Cannot write ${path}: ${why}.`, error);
  }
}

const VERDICTS: Record<Verdict, string> = {
  matches: 'is what the log commits to',
  differs: 'IS NOT WHAT THE LOG COMMITS TO',
  cut: 'cannot be checked: its end is missing',
  unknown: 'not checked: no entry was given for it',
};

function print(
  around: Surroundings,
  { bodies, texts, problem, sha256, status }: OpenedFile,
  options: OpenOptions,
): void {
  if (problem !== undefined) note(around, `sallyport: ${problem}`);
  if (options.json) {
    printJson(around, { status, sha256, bodies, problem });
    return;
  }
  if (bodies.length > 0)
    printTable(
      around,
      ['request', 'part', 'bytes', 'check'],
      bodies.map((body) => [
        body.request,
        body.part,
        body.isWhole ? body.bytes : `${body.bytes}, cut`,
        VERDICTS[body.verdict],
      ]),
    );
  for (const body of bodies) {
    const text = texts.get(keyOf(body));
    if (!text) continue;
    around.out(`\n${keyOf(body)}:\n${manyLines(Buffer.concat(text).toString('utf8'))}\n`);
    const printed = sizeOf(text);
    if (printed < body.bytes)
      note(
        around,
        `sallyport: of ${keyOf(body)}, the first ${printed} of ${body.bytes} bytes are printed. With --out FOLDER, all of it goes into a file.`,
      );
  }
}
