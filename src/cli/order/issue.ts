/** `sallyport order issue` and `order suspend`: what is ordered has effect when the command returns. */
import { Option, type Command } from 'commander';
import { LEVEL, levelInWords, type OrderSpec } from '../../core/orders/order.ts';
import { selectorInWords } from '../../core/orders/selector.ts';
import type { BrokerClient } from '../broker-client.ts';
import { YES_OPTION, mustConfirm } from '../confirm.ts';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { namesFor, unnamed } from '../names.ts';
import { counted, moment, note, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { issuedOrderSchema, previewSchema } from '../wire.ts';
import { printPreview } from './preview.ts';
import { lapses, printOrder } from './print.ts';
import { levelOf, specOf, withSpec, type SpecOptions } from './spec-options.ts';

type IssueOptions = SpecOptions & BrokerOptions & { yes?: boolean };

export function addOrderIssue(group: Command, around: Surroundings): void {
  const command = defineBrokerCommand(group, 'issue', {
    summary: 'Issue an order of any level, after a look at what it would stop',
    details:
      'Shows exactly who and what it would stop, what would stay, and narrower orders that would cover the same facts, and asks; --yes asks nothing. When the command returns, no new request in scope passes, and those that were running have been cut.',
    examples: [
      'sallyport order issue --level suspend-narrowly --attribute export_status=X --grounds "Ruling of 3 May"',
      'sallyport order issue --level constrain --endpoint frontier --put-back output-classifier --grounds "Finding 12"',
    ],
  }).addOption(
    new Option('--level <level>', 'its number or name').argParser(levelOf).makeOptionMandatory(),
  );
  withSpec(command)
    .option(...YES_OPTION)
    .action(async (options: IssueOptions) => {
      const spec = specOf(options);
      const broker = await connect(around, options);
      if (!options.yes) {
        const preview = await broker.post('/orders/preview', previewSchema, { order: spec });
        const named = options.json ? unnamed : await namesFor(broker, [preview, spec.selector]);
        if (!options.json) printPreview(around, preview, named);
        const what = `Issue an order of ${levelInWords(spec.level)}, about ${named(selectorInWords(spec.selector))}?`;
        await mustConfirm(around, what, options);
      }
      await issue(around, broker, spec, options);
    });
}

export function addOrderSuspend(group: Command, around: Surroundings): void {
  const command = defineBrokerCommand(group, 'suspend', {
    summary: 'Stop access at once: an order of level 4, without a question first',
    details:
      'When the command returns, no new request in scope passes, and those that were running have been cut. It asks no question first; it lapses unless another officer ratifies it, and another person can lift it.',
    examples: [
      'sallyport order suspend --grant grt_01… --grounds "Outputs found outside the agreed purpose"',
      'sallyport order suspend --of per_01… --grounds "Key may have been copied"',
      'sallyport order suspend --all --grounds "Suspected key theft" --evidence reported --evidence-text "ticket 4711"',
    ],
  });
  withSpec(command).action(async (options: IssueOptions) => {
    const spec = specOf({ ...options, level: LEVEL.suspend });
    await issue(around, await connect(around, options), spec, options);
  });
}

/** Who came here has said yes, or asked for a stop without a question. */
async function issue(
  around: Surroundings,
  broker: BrokerClient,
  spec: OrderSpec,
  { json }: BrokerOptions,
): Promise<void> {
  const issued = await broker.post('/orders?confirmed=true', issuedOrderSchema, spec);
  // First, so that nobody in a hurry takes a typing error for a stop.
  if (issued.warning)
    note(around, `${stopsNothing(issued.warning) ? 'NOTHING WAS STOPPED. ' : ''}${issued.warning}`);
  if (json) printJson(around, issued);
  else {
    printOrder(around, issued, await namesFor(broker, issued));
    say(around, `${counted(issued.cut.length, 'running request')} cut.`);
    if (lapses(issued))
      note(
        around,
        `Next: it lapses at ${moment(issued.lapsesAt)} unless another person than you (${issued.ratifiers.join(' or ')}) runs: ${commandLine(around, `order ratify ${issued.id}`)}`,
      );
  }
}

/** A warning can also be that it stops more than was asked for. */
const stopsNothing = (warning: string): boolean => warning.includes('nothing here matches');
