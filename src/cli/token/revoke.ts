/** `sallyport token revoke`: one token, or a selection of them. */
import type { Command } from 'commander';
import { id, notEmpty } from '../arguments.ts';
import type { BrokerClient } from '../broker-client.ts';
import { YES_OPTION, mustConfirm, type ConfirmOption } from '../confirm.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { counted, moment, note, printJson, say } from '../output.ts';
import { wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { isOfGateway, revokedSchema, tokenSchema, tokensRevokedSchema } from '../wire.ts';

interface TokenRevokeOptions extends BrokerOptions, ConfirmOption {
  grant?: string;
  of?: string;
  run?: string;
  lab?: string;
  kid?: string;
}

/** More than these are not counted before the question. */
const MOST_COUNTED = 1_000;

export function addTokenRevoke(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'revoke', {
    summary: 'End a token, or all that match a selection, at once; their running requests are cut',
    details:
      'Of a selection, those end that match every option given, as far as you may end them; it asks first.',
    examples: [
      'sallyport token revoke tok_01…',
      'sallyport token revoke --grant grt_01… --of per_01…',
      'sallyport token revoke --kid QpN… --yes',
    ],
  })
    .argument('[id]', 'one token, as "token list" names it', id('tok'))
    .option('--grant <id>', 'those under this grant', id('grt'))
    .option('--of <id>', 'those of this person', id('per'))
    .option('--run <id>', 'those of this run, as "run list" names it', id('run'))
    .option('--lab <id>', 'those of this lab', id('lab'))
    .option('--kid <kid>', 'those got with this key, as "person show" lists it', notEmpty)
    .option(...YES_OPTION)
    .action(async (tokenId: string | undefined, options: TokenRevokeOptions) => {
      const selection = selectionOf(options);
      const isEmpty = Object.values(selection).every((value) => value === undefined);
      if ((tokenId === undefined) === isEmpty) throw wrongUsage(ONE_OR_THE_OTHER);
      const broker = await connect(around, options);
      if (tokenId !== undefined) await revokeOne(around, broker, tokenId, options);
      else await revokeSelection(around, broker, selection, options);
    });
}

const ONE_OR_THE_OTHER =
  'Say which tokens to end: the id of one, or a selection with --grant, --of, --run, --lab and --kid.';

type Selection = ReturnType<typeof selectionOf>;

function selectionOf({ grant, of, run, lab, kid }: TokenRevokeOptions): {
  [name in 'grant' | 'person' | 'run' | 'lab' | 'key']: string | undefined;
} {
  return { grant, person: of, run, lab, key: kid };
}

async function revokeOne(
  around: Surroundings,
  broker: BrokerClient,
  tokenId: string,
  { json }: BrokerOptions,
): Promise<void> {
  const revoked = await broker.post(`/tokens/${tokenId}/revoke`, revokedSchema);
  if (json) printJson(around, revoked);
  else
    say(
      around,
      `Revoked ${tokenId} at ${moment(revoked.revokedAt)}, ${counted(revoked.cut, 'running request')} cut.`,
    );
}

async function revokeSelection(
  around: Surroundings,
  broker: BrokerClient,
  selection: Selection,
  options: TokenRevokeOptions,
): Promise<void> {
  if (!options.yes) {
    const query = { ...selection, live: true };
    const { items, next } = await broker.list('/tokens', tokenSchema, MOST_COUNTED, query);
    const ofGateway = items.filter((token) => isOfGateway(token)).length;
    const each = [
      `${ofGateway.toLocaleString('en-US')} of the gateway`,
      `${(items.length - ofGateway).toLocaleString('en-US')} of the control API`,
    ].join(' and ');
    const many =
      next === null
        ? `${counted(items.length, 'live token')} that you can see match: ${each}.`
        : `More than ${counted(items.length, 'live token')} that you can see match: ${each} among the newest.`;
    await mustConfirm(around, `${many} End those that you may end?`, options);
  }
  const done = await broker.post('/tokens/revoke', tokensRevokedSchema, selection);
  if (options.json) printJson(around, done);
  else
    say(
      around,
      `${counted(done.ended, 'live token')} ended, ${counted(done.cut, 'running request')} cut.`,
    );
  // Last, so that nobody in a hurry takes a typing error for an end.
  if (done.warning) note(around, `NOTHING WAS ENDED. ${done.warning}`);
}
