/** `sallyport order preview` */
import { Option, type Command } from 'commander';
import type { z } from 'zod';
import { levelInWords } from '../../core/orders/order.ts';
import { selectorInWords } from '../../core/orders/selector.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { namesFor, type Named } from '../names.ts';
import { counted, note, printDetails, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { previewSchema } from '../wire.ts';
import { levelOf, specOf, withSpec, type SpecOptions } from './spec-options.ts';

export function addOrderPreview(group: Command, around: Surroundings): void {
  const command = defineBrokerCommand(group, 'preview', {
    summary: 'Show what an order would stop, and change nothing',
    examples: [
      'sallyport order preview --level 4 --lab lab_01… --grounds "Finding 12"',
      'sallyport order preview --level 3 --attribute export_status=X --grounds "Ruling" --json',
    ],
  }).addOption(
    new Option('--level <level>', 'its number or name').argParser(levelOf).makeOptionMandatory(),
  );
  withSpec(command).action(async (options: SpecOptions & BrokerOptions) => {
    const order = specOf(options);
    const broker = await connect(around, options);
    const preview = await broker.post('/orders/preview', previewSchema, { order });
    if (options.json) printJson(around, preview);
    else printPreview(around, preview, await namesFor(broker, preview));
  });
}

export function printPreview(
  around: Surroundings,
  preview: z.infer<typeof previewSchema>,
  named: Named,
): void {
  const { stops, stays, suggested, narrower } = preview;
  const part = stops.people.filter((one) => one.keepsPart).length;
  const whole = stops.people.length - part;
  printDetails(around, [
    [
      'stops',
      `${counted(whole, 'place')} of people, ${counted(stops.grants.length, 'grant')} as a whole`,
    ],
    ['narrows', `${counted(part, 'place')} of people`],
    ['tokens', `${stops.tokens.length} stopped, ${stays.tokens} go on`],
    ['runs', `${stops.runs.length} stopped`],
    ['live requests', `${stops.live.length} cut, ${stays.live} go on`],
    ['stays', `${counted(stays.people, 'place')} of people, ${counted(stays.grants, 'grant')}`],
    ['the severity speaks for', suggested ? levelInWords(suggested.level) : undefined],
    ['not said', preview.missing.length > 0 ? preview.missing.join(', ') : undefined],
  ]);
  for (const { personId, grantId, keepsPart } of stops.people.slice(0, MOST_LINES))
    say(around, `  ${named(personId)} under ${named(grantId)}${keepsPart ? ': keeps a part' : ''}`);
  if (stops.people.length > MOST_LINES)
    say(around, `  and ${stops.people.length - MOST_LINES} more (--json lists all)`);
  for (const { level, selector, because, people, live } of narrower)
    say(
      around,
      `Less would do: ${levelInWords(level)}, about ${named(selectorInWords(selector))}: ${because}; ${counted(people, 'place')} and ${counted(live, 'live request')} stay as they are.`,
    );
  if (preview.stopsEverything) note(around, 'THIS STOPS EVERYTHING.');
  if (preview.warning) note(around, preview.warning);
}

const MOST_LINES = 20;
