/** `sallyport audit key` */
import { Option, type Command } from 'commander';
import { parseWitnessKey } from '../../core/audit/cosignature.ts';
import { parseKeyHistory } from '../../core/audit/key-history.ts';
import { parseVerifierKey } from '../../core/audit/note-keys.ts';
import { urlOf } from '../connection.ts';
import { defineCommand, withJson } from '../define.ts';
import { call, textOf } from '../http.ts';
import { note, printJson, say, type JsonOption } from '../output.ts';
import { failed } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';

interface KeyOptions extends JsonOption {
  profile?: string;
  url?: string;
  witness?: boolean;
  history?: boolean;
}

const NOTE =
  'This is what the broker says its key is. Before you trust evidence by it, get the key from the host lab by another way as well, and compare.';

export function addAuditKey(group: Command, around: Surroundings): void {
  const command = defineCommand(group, 'key', {
    summary: 'Print the verifier key of the log, as the broker publishes it',
    details: NOTE,
    examples: [
      'sallyport audit key > log.vkey',
      'sallyport audit verify evidence.tar --key @log.vkey',
      'sallyport audit key --witness',
      'sallyport audit key --history',
    ],
  });
  withJson(command)
    .option('--profile <name>', 'the broker of this profile instead of the last one')
    .option('--url <url>', 'without a profile: the broker (or SALLYPORT_URL); takes no login')
    .addOption(
      new Option('--witness', "the key that the broker cosigns others' logs with").conflicts(
        'history',
      ),
    )
    .option('--history', 'all keys that the log has had, as a document that can be checked')
    .action(async (options: KeyOptions) => {
      const url = urlOf(around, options);
      if (options.history) {
        await printHistory(around, url, options);
        return;
      }
      if (options.witness) {
        await printWitnessKey(around, url, options);
        return;
      }
      const verifierKey = (await textOf(await call(`${url}/api/v1/log/verifier-key`))).trim();
      try {
        parseVerifierKey(verifierKey);
      } catch (error) {
        throw failed('The broker answered with something that is not a verifier key.', error);
      }
      if (options.json) {
        printJson(around, { verifierKey });
        return;
      }
      say(around, verifierKey);
      note(around, NOTE);
    });
}

async function printWitnessKey(
  around: Surroundings,
  url: string,
  { json }: JsonOption,
): Promise<void> {
  const witnessKey = (await textOf(await call(`${url}/api/v1/log/witness-key`))).trim();
  try {
    parseWitnessKey(witnessKey);
  } catch (error) {
    throw failed("The broker answered with something that is not a witness's key.", error);
  }
  if (json) printJson(around, { witnessKey });
  else say(around, witnessKey);
}

/** Checked from end to end before it is shown. */
async function printHistory(
  around: Surroundings,
  url: string,
  { json }: JsonOption,
): Promise<void> {
  const document = await textOf(await call(`${url}/api/v1/log/keys`));
  const keys = parseKeyHistory(document);
  if (json) {
    around.out(document);
    return;
  }
  for (const { verifierKey, after, upTo } of keys)
    say(
      around,
      `${verifierKey}  ${after === -1 ? 'from the first entry' : `after ${after} entries`}${upTo === Infinity ? '' : ` up to ${upTo}`}`,
    );
  note(around, NOTE);
}
