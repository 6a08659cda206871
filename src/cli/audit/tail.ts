/** `sallyport audit tail` */
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import { wholeNumber } from '../arguments.ts';
import type { BrokerClient, Query } from '../broker-client.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { serverEvents, type ServerEvent } from '../event-stream.ts';
import { EXIT } from '../exit-codes.ts';
import { moment, note, say } from '../output.ts';
import { CliError, RefusedByBroker } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { entrySchema, type Entry } from '../wire.ts';
import { entryRow } from './print.ts';
import { searchQuery, withSearchOptions, type SearchOptions } from './search-options.ts';

interface TailOptions extends BrokerOptions, SearchOptions {
  follow?: boolean;
  lines: number;
}

/** What the broker says when it ends a stream that its follower has not ended. */
const endSchema = z.object({ why: z.string() });

/** Ends after which the same person goes on with another token, or when the broker is back. */
const GOES_ON: ReadonlySet<string> = new Set(['token_expired', 'shutting_down']);

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

export function addAuditTail(group: Command, around: Surroundings): void {
  const command = defineBrokerCommand(group, 'tail', {
    summary: 'Show the last entries of the log, and follow it',
    details:
      'With --json, one entry a line. With --follow until it is interrupted (Ctrl-C): a connection that breaks is made again, and no entry is left out or shown twice. Following is recorded once for each connection.',
    examples: [
      'sallyport audit tail --follow',
      'sallyport audit tail --follow --decision denied --lines 0',
      'sallyport audit tail --lines 20 --grant grt_01… --json',
    ],
  })
    .option('-f, --follow', 'go on with entries as they come')
    .option('-n, --lines <n>', 'begin with so many of the last ones', wholeNumber(0), 10);
  withSearchOptions(command).action(async (options: TailOptions) => {
    const broker = await connect(around, options);
    const query = searchQuery(around, options);
    const print = options.json ? printLine(around) : printRow(around);
    const last = options.lines === 0 ? [] : await lastEntries(broker, query, options.lines);
    for (const entry of last) print(entry);
    if (!options.follow) {
      if (last.length === 0) note(around, 'None.');
      return;
    }
    const stop = new AbortController();
    const unlisten = (['SIGINT', 'SIGTERM'] as const).map((signal) =>
      around.onSignal(signal, () => stop.abort()),
    );
    try {
      const from = last.at(-1);
      await follow(
        around,
        broker.until(stop.signal),
        query,
        from && from.index + 1,
        print,
        stop.signal,
      );
    } finally {
      for (const off of unlisten) off();
    }
  });
}

async function lastEntries(broker: BrokerClient, query: Query, lines: number): Promise<Entry[]> {
  const page = await broker.list('/log/entries', entrySchema, lines, { ...query, newest: true });
  return page.items.toReversed();
}

/** @param from the first entry to show; undefined: the next one */
async function follow(
  around: Surroundings,
  broker: BrokerClient,
  query: Query,
  from: number | undefined,
  print: (entry: Entry) => void,
  signal: AbortSignal,
): Promise<void> {
  const seen = { lastId: from === undefined ? '' : String(from - 1) };
  let failures = 0;
  while (!signal.aborted) {
    try {
      for await (const event of await open(broker, query, seen.lastId)) {
        failures = 0;
        handle(event, print);
        if (event.lastId !== '') seen.lastId = event.lastId;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof RefusedByBroker && error.code !== 'too_busy' && !isTemporary(error.code))
        throw error;
      if (error instanceof CliError && error.exitCode === EXIT.usage) throw error;
    }
    if (signal.aborted) return;
    failures += 1;
    if (failures === 2) note(around, 'The connection is lost; it is made again.');
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS);
    await delay(pause, undefined, { signal }).catch(() => undefined);
  }
}

/** Refusals that pass: another token, or the broker when it is up again, will do. */
const isTemporary = (code: string): boolean =>
  ['token_expired', 'invalid_token', 'log_unavailable', 'starting_up', 'shutting_down'].includes(
    code,
  );

async function open(
  broker: BrokerClient,
  query: Query,
  lastId: string,
): Promise<AsyncGenerator<ServerEvent>> {
  const { from, ...rest } = query;
  const where: Query = lastId === '' || lastId === '-1' ? { ...rest, from } : rest;
  const headers = lastId === '' || lastId === '-1' ? undefined : { 'last-event-id': lastId };
  const answer = await broker.stream('/log/tail', where, headers);
  return serverEvents(answer);
}

function handle({ type, data }: ServerEvent, print: (entry: Entry) => void): void {
  if (data === undefined) return;
  if (type === 'end') {
    const { why } = endSchema.parse(JSON.parse(data));
    if (GOES_ON.has(why)) return;
    throw new RefusedByBroker(
      why,
      'The broker ended this.',
      `The broker no longer shows you the log (${why}).`,
    );
  }
  if (type === 'message') print(entrySchema.parse(JSON.parse(data)));
}

const printLine =
  ({ out }: Surroundings) =>
  (entry: Entry): void =>
    out(`${JSON.stringify(entry)}\n`);

/** Entries come one by one: no table is as wide as what is not known yet. */
const printRow =
  (around: Surroundings) =>
  (entry: Entry): void => {
    const [index, , kind, actor, ref, result] = entryRow(entry).map((cell) => cell ?? '-');
    const at = moment(entry.entry.at) ?? '-';
    say(around, [index, at, kind, actor, ref, result].join('  '));
  };
