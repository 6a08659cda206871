/** `sallyport audit transcript`: what is kept of a call. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import type { BrokerClient } from '../broker-client.ts';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { refuseOverwriting, saveEvidence } from '../evidence-file.ts';
import { moment, note, printDetails, printJson, say, type Cell } from '../output.ts';
import { manyLines } from '../printable.ts';
import { fileTrouble, wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { entrySchema } from '../wire.ts';
import { transcriptSchema, type Transcript } from './transcript-wire.ts';

interface TranscriptOptions extends BrokerOptions {
  out?: string;
}

export function addAuditTranscript(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'transcript', {
    summary: 'Open the transcript of a request, or fetch its files',
    details:
      'Of a grant whose transcripts are "full", prints the bodies. With --out, writes the files as they are stored, and the two entries of the request beside them: "audit open" opens and checks them offline. Each opening goes on record.',
    examples: [
      'sallyport audit transcript req_01…',
      'sallyport audit transcript req_01… --out transcript',
    ],
  })
    .argument('<id>', 'the request', id('req'))
    .option('--out <folder>', 'where the files go; none is overwritten')
    .action(async (request: string, options: TranscriptOptions) => {
      const broker = await connect(around, options);
      const found = await broker.get(`/transcripts/${request}`, transcriptSchema);
      const files = options.out === undefined ? [] : await save(broker, found, options.out);
      if (options.json) printJson(around, options.out === undefined ? found : { ...found, files });
      else print(around, found, files);
    });
}

/** Writes the files of a transcript, and the entries that they are held against. */
async function save(
  broker: BrokerClient,
  { request, mode, bodies }: Transcript,
  folder: string,
): Promise<string[]> {
  const entries = join(folder, `${request}.entries.json`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw wrongUsage(`Cannot make the folder ${folder}: ${fileTrouble(error)}.`, error);
  }
  refuseOverwriting(entries);
  // Others refer to it, too, as often as they like.
  const kind = ['request.intent', 'request.outcome'];
  const found = await broker.list('/log/entries', entrySchema, 10, { ref: request, kind });
  const written: string[] = [];
  for (const { part, standing } of bodies) {
    if (standing !== 'stored') continue;
    const path = join(folder, `${request}.${part}.${mode === 'sealed' ? 'age' : 'records'}`);
    refuseOverwriting(path);
    await saveEvidence(path, () => broker.request('GET', `/transcripts/${request}/${part}`));
    written.push(path);
  }
  const texts = found.items.map(({ entry }) => entry);
  writeFileSync(entries, `${JSON.stringify(texts, null, 2)}\n`, { flag: 'wx', mode: 0o600 });
  return [...written, entries];
}

const QUOTED = {
  masked: 'a credential of the host, which is overwritten with asterisks',
  withheld: 'a credential of the host: nothing of the answer is kept',
};

function print(around: Surroundings, transcript: Transcript, files: readonly string[]): void {
  const { request, mode, recipients, bodies, lost, quoted } = transcript;
  printDetails(around, [
    ['request', request],
    ['kept', mode],
    ...recipients.map(({ id: of, holder }): [string, Cell] => [
      'sealed to',
      `${holder ?? '?'} (${of})`,
    ]),
    ...bodies.map((body): [string, Cell] => [
      body.part,
      `${body.bytes} bytes, ${body.standing}${body.cut ? ', cut' : ''}${
        body.standing === 'stored' ? `, until ${moment(body.until) ?? body.until}` : ''
      }; SHA-256 ${body.sha256}`,
    ]),
    ...lost.map((part): [string, Cell] => [part, 'could not be stored']),
    ...(quoted ? [['quoted', QUOTED[quoted]] satisfies [string, Cell]] : []),
  ]);
  for (const path of files) say(around, `Wrote ${path}.`);
  if (bodies.some(({ standing }) => standing === 'destroyed'))
    note(
      around,
      `When and by whom it was destroyed: ${commandLine(around, 'audit entries --kind transcript.destroyed')}`,
    );
  // The last one is the entries, which are written in any case.
  if (files.length > 1)
    note(
      around,
      `Open and check with: ${commandLine(around, `audit open FILE --identity KEYFILE --entry ${files.at(-1)}`)}`,
    );
  else
    for (const { part, json, text, base64 } of bodies) {
      const body = json === undefined ? (text ?? base64) : JSON.stringify(json, null, 2);
      if (body !== undefined) around.out(`\n${part}:\n${manyLines(body)}\n`);
    }
}
