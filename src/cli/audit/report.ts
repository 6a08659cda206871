/** `sallyport audit report`: what a run, a grant or an incident came to, to read or to hand on. */
import { Argument, Option, type Command } from 'commander';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { extract } from 'tar-stream';
import type { BrokerClient } from '../broker-client.ts';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { refuseOverwriting, saveEvidence } from '../evidence-file.ts';
import { textOf } from '../http.ts';
import { counted, note, say } from '../output.ts';
import { manyLines } from '../printable.ts';
import { failed, unreachable } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';

type Format = 'md' | 'html' | 'json';
type Of = 'run' | 'grant' | 'incident';

interface ReportOptions extends BrokerOptions {
  format: Format;
  out?: string;
}

/** The file of an incident's report that is of each format. */
const INCIDENT_FILES: Record<Format, string> = {
  md: 'report.md',
  html: 'report.html',
  json: 'incident.json',
};

export function addAuditReport(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'report', {
    summary: 'Report on a run, a grant or an incident',
    details:
      'Who, when and how much, what was refused and why, how requests ended, which orders applied, and the part of the log that all of it follows from. The report goes on record. The evidence for an incident: "incident export".',
    examples: [
      'sallyport audit report run run_01…',
      'sallyport audit report grant grt_01… --format html --out grant.html',
      'sallyport audit report incident inc_01… --format html --out incident.html',
    ],
  })
    .addArgument(new Argument('<of>', 'what it is on').choices(['run', 'grant', 'incident']))
    .argument('<id>', 'the run, grant or incident')
    .addOption(
      new Option('--format <format>', 'Markdown, a page with charts, or for programs')
        .choices(['md', 'html', 'json'])
        .default('md'),
    )
    .option('--out <file>', 'where it goes; must not exist yet (default: it is printed)')
    .action(async (of: Of, id: string, options: ReportOptions) => {
      const { out } = options;
      const format = options.json ? 'json' : options.format;
      if (out !== undefined) refuseOverwriting(out);
      const broker = await connect(around, options);
      if (out === undefined) {
        const text = await textOf(await ask(broker, of, id, format));
        // A page is for a file; what is read here must not act on the terminal.
        around.out(format === 'md' ? manyLines(text) : text);
        return;
      }
      const { bytes } = await saveEvidence(out, () => ask(broker, of, id, format));
      say(around, `Wrote ${out}: ${counted(bytes, 'byte')}.`);
      if (of === 'incident')
        note(
          around,
          `The report with its evidence: ${commandLine(around, `incident export ${id} --out FILE`, options.profile)}`,
        );
    });
}

async function ask(broker: BrokerClient, of: Of, id: string, format: Format): Promise<Response> {
  const part = encodeURIComponent(id);
  if (of !== 'incident') return broker.request('GET', `/reports/${of}/${part}?format=${format}`);
  const { body } = await broker.request('GET', `/incidents/${part}/export`);
  return new Response(new Uint8Array(await fileIn(body, INCIDENT_FILES[format])));
}

/** A file of an archive as it arrives. */
async function fileIn(body: Response['body'], name: string): Promise<Buffer> {
  const tar = extract();
  const source = Readable.fromWeb(
    (body ?? new Response('').body) as Parameters<typeof Readable.fromWeb>[0],
  );
  source.once('error', (error) => tar.destroy(error));
  source.pipe(tar);
  try {
    for await (const entry of tar) {
      if (entry.header.name === name) return await buffer(entry);
      entry.resume();
    }
  } catch (error) {
    throw unreachable('The report broke off before its end. Try again.', error);
  } finally {
    source.destroy();
  }
  throw failed(`The report has no ${name}. Use the version that the broker has.`);
}
