/** `sallyport order ratify|review|supplement|lower|lift|acknowledge|object|decide` */
import { Option, type Command } from 'commander';
import { z } from 'zod';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { jsonOf } from '../http.ts';
import { namesFor, type Named } from '../names.ts';
import { printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { disputeSchema, orderSchema } from '../wire.ts';
import { printDispute, printOrder } from './print.ts';
import {
  givesSelector,
  selectorOf,
  withSelector,
  type SelectorOptions,
} from './selector-options.ts';
import {
  levelOf,
  measuresOf,
  reasonsOf,
  withMeasures,
  withReasons,
  type SpecOptions,
} from './spec-options.ts';

interface Step {
  name: 'ratify' | 'review' | 'lift';
  summary: string;
  details: string;
  grounds: boolean;
}

const STEPS: Step[] = [
  {
    name: 'ratify',
    summary: 'Make an order stand: until then it lapses by itself',
    details:
      'Takes another person than its issuer, with the role that the rules of its level name.',
    grounds: false,
  },
  {
    name: 'review',
    summary: 'Record that an order was reviewed and goes on',
    details: 'Sets its next review. Takes another person than its issuer.',
    grounds: true,
  },
  {
    name: 'lift',
    summary: 'Lift an order: what it stopped is allowed again',
    details: 'Whoever issued an order may not lift it; another person must.',
    grounds: true,
  },
];

type GroundsOptions = RevisionOptions & { grounds?: string };

type RevisionOptions = BrokerOptions & { revision?: string };

const withRevision = (command: Command): Command =>
  command.option(
    '--revision <revision>',
    'what was read, as "show" says it: refused if it has changed since',
  );

/** Adds what is done with an order after it was issued. */
export function addOrderSteps(group: Command, around: Surroundings): void {
  for (const { name, summary, details, grounds } of STEPS) {
    const example = grounds ? ' --grounds "Reviewed with the partner on 3 May"' : '';
    const examples = [`sallyport order ${name} ord_01…${example}`];
    const command = defineBrokerCommand(group, name, { summary, details, examples });
    command.argument('<id>', 'the order', id('ord'));
    if (grounds) command.requiredOption('--grounds <text>', 'why: kept on record');
    withRevision(command).action(async (orderId: string, options: GroundsOptions) =>
      step(
        around,
        options,
        `/orders/${orderId}/${name}`,
        grounds ? { grounds: options.grounds } : {},
      ),
    );
  }
  addSupplement(group, around);
  addLower(group, around);
  addObjections(group, around);
}

const step = (
  around: Surroundings,
  options: RevisionOptions,
  path: string,
  body: object,
): Promise<void> => send(around, options, { path, body, answer: orderSchema, print: printOrder });

/** Does something with an order, and shows what came of it. */
async function send<T>(
  around: Surroundings,
  options: RevisionOptions,
  call: {
    path: string;
    body: object;
    answer: z.ZodType<T>;
    print: (around: Surroundings, answer: T, named: Named) => void;
  },
): Promise<void> {
  const broker = await connect(around, options);
  const { revision } = options;
  const headers: Record<string, string> =
    revision === undefined ? {} : { 'if-match': `"${revision}"` };
  const response = await broker.request('POST', call.path, call.body, headers);
  const answer = await jsonOf(response, call.answer);
  if (options.json) printJson(around, answer);
  else call.print(around, answer, await namesFor(broker, answer));
}

type SupplementOptions = RevisionOptions & Partial<SpecOptions> & { instrument?: string };

function addSupplement(group: Command, around: Surroundings): void {
  const command = defineBrokerCommand(group, 'supplement', {
    summary: 'Add what an order should have said: evidence, severity, why lower levels fail',
    examples: ['sallyport order supplement ord_01… --evidence reproduced --evidence-text "run 12"'],
  }).argument('<id>', 'the order', id('ord'));
  withReasons(withRevision(command))
    .option('--instrument <text>', 'the document that it rests on')
    .action((orderId: string, options: SupplementOptions) => {
      const { instrument } = options;
      const body = { ...reasonsOf(options), ...(instrument !== undefined && { instrument }) };
      return step(around, options, `/orders/${orderId}/supplement`, body);
    });
}

type LowerOptions = RevisionOptions &
  SelectorOptions &
  Partial<SpecOptions> & {
    to: number;
    grounds: string;
  };

/** What is given of a selector; nothing given: as the order has it. */
const givenSelector = (options: SelectorOptions): object =>
  givesSelector(options) ? { selector: selectorOf(options) } : {};

function addLower(group: Command, around: Surroundings): void {
  const command = defineBrokerCommand(group, 'lower', {
    summary: 'Put a lesser order in the place of one: access returns narrowly first',
    details:
      'In one step, of a lower level or narrower. What the order is about stays, unless narrower is said. Takes another person than its issuer.',
    examples: [
      'sallyport order lower ord_01… --to constrain --limits 50 --grounds "The finding is mended"',
    ],
  })
    .argument('<id>', 'the order', id('ord'))
    .addOption(
      new Option('--to <level>', 'its number or name').argParser(levelOf).makeOptionMandatory(),
    )
    .requiredOption('--grounds <text>', 'why: kept on record');
  withMeasures(withSelector(withRevision(command))).action(
    async (orderId: string, options: LowerOptions) =>
      step(around, options, `/orders/${orderId}/lower`, {
        level: options.to,
        measures: measuresOf(options),
        grounds: options.grounds,
        ...givenSelector(options),
      }),
  );
}

type ObjectOptions = BrokerOptions &
  SelectorOptions &
  Partial<SpecOptions> & {
    grounds: string;
    to?: number;
  };
type DecideOptions = RevisionOptions & { outcome: string; grounds: string };

function addObjections(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'acknowledge', {
    summary: 'Take notice of an order; under objection, where your lab has objected',
    examples: ['sallyport order acknowledge ord_01…'],
  })
    .argument('<id>', 'the order', id('ord'))
    .action((orderId: string, options: BrokerOptions) =>
      send(around, options, {
        path: `/orders/${orderId}/acknowledge`,
        body: {},
        answer: z.looseObject({ underObjection: z.boolean() }),
        print: (_, { underObjection }) =>
          say(around, `Noted${underObjection ? ': complied under objection' : ''}.`),
      }),
    );

  const object = defineBrokerCommand(group, 'object', {
    summary: 'Object to an order, and perhaps propose a lesser one. It goes on until decided',
    examples: [
      'sallyport order object ord_01… --grounds "Two of us are exempt" --to constrain --limits 50',
    ],
  })
    .argument('<id>', 'the order', id('ord'))
    .requiredOption('--grounds <text>', 'what you object to, and why')
    .addOption(new Option('--to <level>', 'propose this level').argParser(levelOf));
  withMeasures(withSelector(object)).action(async (orderId: string, options: ObjectOptions) => {
    const alternative = {
      ...(options.to !== undefined && { level: options.to }),
      ...(Object.keys(measuresOf(options)).length > 0 && { measures: measuresOf(options) }),
      ...givenSelector(options),
    };
    const proposes = Object.keys(alternative).length > 0;
    await dispute(around, options, `/orders/${orderId}/object`, {
      grounds: options.grounds,
      ...(proposes && { alternative }),
    });
  });

  const decide = defineBrokerCommand(group, 'decide', {
    summary: 'Decide an objection: affirmed, modified (as proposed) or vacated',
    examples: ['sallyport order decide dsp_01… --outcome modified --grounds "Half will do"'],
  });
  withRevision(decide)
    .argument('<id>', 'the objection', id('dsp'))
    .addOption(
      new Option('--outcome <what>', 'what comes of it')
        .choices(['affirmed', 'modified', 'vacated'])
        .makeOptionMandatory(),
    )
    .requiredOption('--grounds <text>', 'why: told to those concerned')
    .action(async (disputeId: string, options: DecideOptions) => {
      const { outcome, grounds } = options;
      await dispute(around, options, `/disputes/${disputeId}/decide`, { outcome, grounds });
    });
}

const dispute = (
  around: Surroundings,
  options: RevisionOptions,
  path: string,
  body: object,
): Promise<void> =>
  send(around, options, { path, body, answer: disputeSchema, print: printDispute });
