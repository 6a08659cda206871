/** `sallyport incident correct|link|unlink|find|report|resolve|reopen` */
import { Option, type Command } from 'commander';
import { REPORT_KINDS } from '../../core/incidents/incident.ts';
import { evidenceSchema } from '../../core/orders/order.ts';
import { id, instant, notEmpty, several, wholeNumber } from '../arguments.ts';
import { defineBrokerCommand, type BrokerOptions, type CommandHelp } from '../define.ts';
import { wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { digestOf, sendIncident, textOf } from './send.ts';

/** Adds what is done with an incident after it was opened. */
export function addIncidentSteps(group: Command, around: Surroundings): void {
  addCorrect(group, around);
  addLinks(group, around);
  addFind(group, around);
  addReport(group, around);
  addResolution(group, around);
}

const defineStep = (group: Command, name: string, help: CommandHelp): Command =>
  defineBrokerCommand(group, name, help).argument('<id>', 'the incident', id('inc'));

interface CorrectOptions extends BrokerOptions {
  grounds: string;
  aware?: string;
  addHarm?: string[];
  title?: string;
  description?: string;
}

function addCorrect(group: Command, around: Surroundings): void {
  defineStep(group, 'correct', {
    summary: 'Correct an incident: an earlier awareness, another kind of harm, its text',
    details:
      'Awareness moves to an earlier moment, never to a later one, and no kind of harm is taken away: its deadlines only ever get earlier.',
    examples: [
      'sallyport incident correct inc_01… --aware 2027-02-28T18:00:00Z --grounds "A mail of that evening"',
    ],
  })
    .requiredOption('--grounds <text>', 'why: kept on record')
    .option('--aware <moment>', 'an earlier moment of awareness', instant)
    .option('--add-harm <kind>', 'one more kind of harm; several: give it again', several)
    .option('--title <text>', 'what it is called', notEmpty)
    .option('--description <text>', 'what happened, or @FILE')
    .action((incident: string, options: CorrectOptions) =>
      sendIncident(around, options, `/incidents/${incident}/correct`, {
        grounds: options.grounds,
        awareAt: options.aware,
        addHarms: options.addHarm,
        title: options.title,
        description: options.description && textOf(options.description, 'description'),
      }),
    );
}

interface LinkOptions extends BrokerOptions {
  order?: string;
  entry?: number;
  comment?: string;
  grounds?: string;
}

function addLinks(group: Command, around: Surroundings): void {
  const link = defineStep(group, 'link', {
    summary: 'Add an order or an entry of the log to an incident',
    examples: [
      'sallyport incident link inc_01… --order ord_01… --comment "Stopped it"',
      'sallyport incident link inc_01… --entry 1204',
    ],
  });
  withTarget(link)
    .option('--comment <text>', 'why it belongs there')
    .action((incident: string, options: LinkOptions) =>
      sendIncident(around, options, `/incidents/${incident}/links`, {
        ...targetOf(options),
        comment: options.comment,
      }),
    );
  const unlink = defineStep(group, 'unlink', {
    summary: 'Say that an order or entry does not belong to an incident after all',
    details: 'It stays on record, with the reason.',
    examples: ['sallyport incident unlink inc_01… --entry 1204 --grounds "Another matter"'],
  });
  withTarget(unlink)
    .requiredOption('--grounds <text>', 'why: kept on record')
    .action((incident: string, options: LinkOptions) =>
      sendIncident(around, options, `/incidents/${incident}/unlink`, {
        ...targetOf(options),
        grounds: options.grounds,
      }),
    );
}

const withTarget = (command: Command): Command =>
  command
    .option('--order <id>', 'the order', id('ord'))
    .option('--entry <index>', 'the entry of the log, by its index', wholeNumber(0));

function targetOf({ order, entry }: LinkOptions): object {
  if ((order === undefined) === (entry === undefined))
    throw wrongUsage('Give --order or --entry, one of them.');
  return { order, entry };
}

interface FindOptions extends BrokerOptions {
  text: string;
  evidence: string;
  reference?: string;
  digestOf?: string;
}

function addFind(group: Command, around: Surroundings): void {
  defineStep(group, 'find', {
    summary: 'Add a finding to an incident',
    examples: [
      'sallyport incident find inc_01… --text "Seen again with 3 of 5 seeds" --evidence reproduced --reference "ticket 4711" --digest-of runs.jsonl',
    ],
  })
    .requiredOption('--text <text>', 'what was found, or @FILE')
    .addOption(
      new Option('--evidence <class>', 'how well it is known')
        .choices(evidenceSchema.shape.class.options)
        .makeOptionMandatory(),
    )
    .option('--reference <text>', 'where it is: an address, a ticket, a file')
    .option('--digest-of <file>', 'record the SHA-256 of this file, which stays where it is')
    .action(async (incident: string, options: FindOptions) =>
      sendIncident(around, options, `/incidents/${incident}/findings`, {
        text: textOf(options.text, 'finding'),
        evidence: options.evidence,
        reference: options.reference,
        sha256: await digestOf(options.digestOf),
      }),
    );
}

interface ReportOptions extends BrokerOptions {
  kind: string;
  text: string;
  to: string[];
  sent?: string;
  digestOf?: string;
}

function addReport(group: Command, around: Surroundings): void {
  defineStep(group, 'report', {
    summary: 'Record that a report on an incident was sent',
    details:
      'Sends nothing. The first report is "initial"; the final one closes an incident that is resolved.',
    examples: [
      'sallyport incident report inc_01… --kind initial --text @report.txt --to "The authority"',
      'sallyport incident report inc_01… --kind final --text "See the document" --to "The authority" --digest-of final.pdf',
    ],
  })
    .addOption(
      new Option('--kind <kind>', 'which report it was')
        .choices(REPORT_KINDS)
        .makeOptionMandatory(),
    )
    .requiredOption('--text <text>', 'what was reported, or @FILE')
    .requiredOption('--to <whom>', 'whom it was sent to; several: give it again', several)
    .option('--sent <moment>', 'when it was sent; otherwise now', instant)
    .option('--digest-of <file>', 'record the SHA-256 of the document that was sent')
    .action(async (incident: string, options: ReportOptions) =>
      sendIncident(around, options, `/incidents/${incident}/reports`, {
        kind: options.kind,
        text: textOf(options.text, 'report'),
        to: options.to,
        sentAt: options.sent,
        sha256: await digestOf(options.digestOf),
      }),
    );
}

function addResolution(group: Command, around: Surroundings): void {
  defineStep(group, 'resolve', {
    summary: 'Record that an incident is resolved: its final report is due from then on',
    examples: ['sallyport incident resolve inc_01… --text "The safeguard is back"'],
  })
    .requiredOption('--text <text>', 'what resolved it, or @FILE')
    .option('--at <moment>', 'when; otherwise now', instant)
    .action((incident: string, options: BrokerOptions & { text: string; at?: string }) =>
      sendIncident(around, options, `/incidents/${incident}/resolve`, {
        text: textOf(options.text, 'resolution'),
        resolvedAt: options.at,
      }),
    );
  defineStep(group, 'reopen', {
    summary: 'Reopen an incident that goes on after all',
    examples: ['sallyport incident reopen inc_01… --grounds "Seen again"'],
  })
    .requiredOption('--grounds <text>', 'why: kept on record')
    .action((incident: string, options: BrokerOptions & { grounds: string }) =>
      sendIncident(around, options, `/incidents/${incident}/reopen`, { grounds: options.grounds }),
    );
}
