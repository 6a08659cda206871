/** `sallyport token revoke` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { moment, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { revokedSchema } from '../wire.ts';

export function addTokenRevoke(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'revoke', {
    summary: 'End a token at once; its running requests are cut',
    examples: ['sallyport token revoke tok_01…'],
  })
    .argument('<id>', 'the token, as "token list" names it', id('tok'))
    .action(async (tokenId: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const revoked = await broker.post(`/tokens/${tokenId}/revoke`, revokedSchema);
      if (options.json) printJson(around, revoked);
      else say(around, `Revoked ${tokenId} at ${moment(revoked.revokedAt)}.`);
    });
}
