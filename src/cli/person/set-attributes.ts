/** `sallyport person set-attributes` */
import type { Command } from 'commander';
import { id, instant, pairs, several } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { namesFor } from '../names.ts';
import { printJson } from '../output.ts';
import { wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { personSchema } from '../wire.ts';
import { printPerson } from './print.ts';

interface Options extends BrokerOptions {
  set?: Record<string, string>;
  until?: Record<string, string>;
  clear?: string[];
}

export function addPersonSetAttributes(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'set-attributes', {
    summary: 'Set what is known of a person, or take it away',
    details:
      'Grants can require attributes, and orders can be about them. One with an end counts as unknown from then on. While an order in force is about an attribute, only the host lab changes it.',
    examples: [
      'sallyport person set-attributes per_01… --set export_status=US --set training=2026-10 --until training=2027-10-01T00:00:00Z',
      'sallyport person set-attributes per_01… --clear training',
    ],
  })
    .argument('<id>', 'the person', id('per'))
    .option('--set <name=value>', 'what is known; may be given several times', pairs)
    .option('--until <name=time>', 'when one that is set ends; may be given several times', ends)
    .option('--clear <name>', 'what is taken away; may be given several times', several)
    .action(async (personId: string, options: Options) => {
      const broker = await connect(around, options);
      const body = { attributes: changesOf(options) };
      const person = await broker.post(`/people/${personId}/attributes`, personSchema, body);
      if (options.json) printJson(around, person);
      else printPerson(around, person, await namesFor(broker, person));
    });
}

/** Pairs whose values are moments. */
function ends(text: string, before: Record<string, string> = {}): Record<string, string> {
  const all = pairs(text, before);
  const [name = ''] = text.split('=', 1);
  instant(all[name.trim()] ?? '');
  return all;
}

function changesOf({ set = {}, until = {}, clear = [] }: Options): Record<string, object | null> {
  const without = Object.keys(until).find((name) => !Object.hasOwn(set, name));
  if (without !== undefined) throw wrongUsage(`--until names "${without}", which --set does not.`);
  const both = clear.find((name) => Object.hasOwn(set, name));
  if (both !== undefined) throw wrongUsage(`"${both}" is both set and cleared.`);
  const names = Object.keys(set);
  if (names.length + clear.length === 0)
    throw wrongUsage('Say what to set (--set name=value) or to take away (--clear name).');
  return Object.fromEntries([
    ...names.map((name) => [name, { value: set[name], until: until[name] }] as const),
    ...clear.map((name) => [name, null] as const),
  ]);
}
