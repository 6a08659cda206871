/** `sallyport incident open` */
import type { Command } from 'commander';
import { instant, notEmpty, several, severalIds, severalNumbers } from '../arguments.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { sendIncident, textOf } from './send.ts';

interface OpenOptions extends BrokerOptions {
  title: string;
  harm: string[];
  aware?: string;
  description?: string;
  order?: string[];
  entry?: number[];
}

export function addIncidentOpen(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'open', {
    summary: 'Open an incident: its clock runs from the moment of awareness',
    details:
      'The first report is due by the shortest span of its kinds of harm, which are those of the rules of the broker: unless configured otherwise critical_infrastructure (2d), cybersecurity (5d), death (10d) and other_serious_harm (15d).',
    examples: [
      'sallyport incident open --title "Outputs outside the purpose" --harm other_serious_harm --order ord_01…',
      'sallyport incident open --title "Key copied" --harm cybersecurity --aware 2027-03-01T09:00:00Z --entry 1204',
    ],
  })
    .requiredOption('--title <text>', 'what it is called', notEmpty)
    .requiredOption('--harm <kind>', 'a kind of harm; several: give it again', several)
    .option('--aware <moment>', 'when the host became aware of it; otherwise now', instant)
    .option('--description <text>', 'what happened, as far as it is known, or @FILE')
    .option(
      '--order <id>',
      'an order that belongs to it; several: give it again',
      severalIds('ord'),
    )
    .option(
      '--entry <index>',
      'an entry of the log that belongs to it; several: give it again',
      severalNumbers(0),
    )
    .action((options: OpenOptions) =>
      sendIncident(around, options, '/incidents', {
        title: options.title,
        harms: options.harm,
        awareAt: options.aware,
        description: options.description && textOf(options.description, 'description'),
        orders: options.order,
        entries: options.entry,
      }),
    );
}
