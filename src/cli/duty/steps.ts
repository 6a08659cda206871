/** `sallyport duty report|confirm|return` */
import type { Command } from 'commander';
import { id, notEmpty } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { stateOf } from './print.ts';
import { dutySchema } from './wire.ts';

interface StepOptions extends BrokerOptions {
  statement?: string;
  documentDigest?: string;
  grounds?: string;
}

export function addDutySteps(group: Command, around: Surroundings): void {
  defineStep(group, 'report', {
    summary: 'Report a duty as done, for the partner lab',
    details: 'The host lab or an auditor confirms it, or returns it.',
    examples: [
      'sallyport duty report dty_01… --statement "All transcripts were destroyed on 3 May."',
    ],
  })
    .requiredOption('--statement <text>', 'what was done; the text of a certificate', notEmpty)
    .option('--document-digest <sha256>', 'SHA-256 of a document that proves it, in hex', notEmpty)
    .action(
      step(around, 'report', ({ statement, documentDigest }) => ({ statement, documentDigest })),
    );
  defineStep(group, 'confirm', {
    summary: 'Confirm that a reported duty is done, for good',
    examples: ['sallyport duty confirm dty_01…'],
  }).action(step(around, 'confirm', () => ({})));
  defineStep(group, 'return', {
    summary: 'Return a reported duty to the partner: something is missing',
    examples: ['sallyport duty return dty_01… --grounds "The certificate names another grant"'],
  })
    .requiredOption('--grounds <text>', 'what is missing', notEmpty)
    .action(step(around, 'return', ({ grounds }) => ({ grounds })));
}

const defineStep = (...args: Parameters<typeof defineBrokerCommand>): Command =>
  defineBrokerCommand(...args).argument('<id>', 'the duty', id('dty'));

const step =
  (around: Surroundings, name: string, bodyOf: (options: StepOptions) => object) =>
  async (dutyId: string, options: StepOptions): Promise<void> => {
    const broker = await connect(around, options);
    const duty = await broker.post(`/duties/${dutyId}/${name}`, dutySchema, bodyOf(options));
    if (options.json) printJson(around, duty);
    else say(around, `The duty ${duty.id} is ${stateOf(duty)} now: ${duty.text}`);
  };
