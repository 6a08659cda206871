/** `sallyport grant accept`: shows the terms, asks, and accepts exactly the text that was shown. */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { YES_OPTION, mustConfirm, type ConfirmOption } from '../confirm.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { grantSchema } from '../wire.ts';
import { showTerms } from './terms.ts';

export function addGrantAccept(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'accept', {
    summary: 'Accept the terms of a grant: the lead for the lab first, then each person',
    examples: ['sallyport grant accept grt_01…', 'sallyport grant accept grt_01… --yes'],
  })
    .argument('<id>', 'the grant', id('grt'))
    .option(...YES_OPTION)
    .action(async (grantId: string, options: BrokerOptions & ConfirmOption) => {
      const broker = await connect(around, options);
      const grant = await broker.get(`/grants/${grantId}`, grantSchema);
      const { terms, title } = grant.spec;
      const termsDigest = showTerms(around, { ...grant, terms, title }, options);
      await mustConfirm(around, 'Do you accept these terms?', options);
      const accepted = await broker.post(`/grants/${grantId}/accept`, grantSchema, {
        version: grant.version,
        termsDigest,
      });
      if (options.json) printJson(around, accepted);
      else say(around, `Accepted the terms of ${accepted.id}. It is ${accepted.status} now.`);
    });
}
