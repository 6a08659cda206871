/** `sallyport grant accept`: shows the terms, asks, and accepts exactly the text that was shown. */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import type { BrokerClient } from '../broker-client.ts';
import { YES_OPTION, mustConfirm, type ConfirmOption } from '../confirm.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { grantSchema, meSchema, type Grant, type Proposal } from '../wire.ts';
import { noteLacking } from './lacking.ts';
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
      const text = await textToAccept(broker, grant);
      const { terms, title } = text.spec;
      const shown = { id: grant.id, termsDigest: text.termsDigest, terms, title };
      const termsDigest = showTerms(around, shown, options);
      await mustConfirm(around, 'Do you accept these terms?', options);
      const accepted = await broker.post(`/grants/${grantId}/accept`, grantSchema, {
        version: text.version,
        termsDigest,
      });
      if (options.json) {
        printJson(around, accepted);
        return;
      }
      say(around, `Accepted the terms of ${accepted.id}. It is ${accepted.status} now.`);
      noteLacking(around, accepted, broker.person);
    });
}

/** New terms are accepted by a lead first, which brings their version into force; by everybody else after that. */
async function textToAccept(broker: BrokerClient, grant: Grant): Promise<Grant | Proposal> {
  if (grant.proposed?.state !== 'approved') return grant;
  const { person } = await broker.get('/me', meSchema);
  return person.roles.includes('lead') ? grant.proposed : grant;
}
