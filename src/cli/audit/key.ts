/** `sallyport audit key` */
import type { Command } from 'commander';
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
    ],
  });
  withJson(command)
    .option('--profile <name>', 'the broker of this profile instead of the last one')
    .option('--url <url>', 'without a profile: the broker (or SALLYPORT_URL); takes no login')
    .action(async (options: KeyOptions) => {
      const url = urlOf(around, options);
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
