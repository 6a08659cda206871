/** `sallyport person keygen`: makes a key pair on the machine of the person who will use it. */
import { existsSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { createKeyFile } from '../../lib/key-file.ts';
import { commandLine } from '../command-line.ts';
import { defineCommand, withJson } from '../define.ts';
import { note, printJson, type JsonOption } from '../output.ts';
import { failed, fileTrouble, wrongUsage } from '../problems.ts';
import { publicKeyOf } from '../public-key.ts';
import type { Surroundings } from '../surroundings.ts';

interface KeygenOptions extends JsonOption {
  out: string;
}

export function addPersonKeygen(group: Command, around: Surroundings): void {
  const command = defineCommand(group, 'keygen', {
    summary: 'Make a key of your own, without talking to a broker',
    details:
      'Writes an Ed25519 private key that only you can read, and its public half beside it. Only the public half leaves your machine.',
    examples: ['sallyport person keygen --out ~/.sallyport/key.pem'],
  });
  withJson(command)
    .requiredOption(
      '--out <file>',
      'where the private key goes; the public one goes to FILE.pub.json',
    )
    .action(async ({ out, json }: KeygenOptions) => {
      const publicFile = `${out}.pub.json`;
      // Before the private key is made: half a pair would be in the way of the next attempt.
      if (existsSync(publicFile))
        throw wrongUsage(`${publicFile} exists already. Choose another name, or remove it.`);
      const publicKey = await publicKeyOf(createKeyFile(out));
      try {
        writeFileSync(publicFile, `${JSON.stringify(publicKey, null, 2)}\n`, {
          mode: 0o644,
          flag: 'wx',
        });
      } catch (error) {
        throw failed(
          `The private key is in ${out}, but ${publicFile} could not be written: ${fileTrouble(error)}.`,
          error,
        );
      }
      if (json) {
        printJson(around, { privateKeyFile: out, publicKeyFile: publicFile, publicKey });
        return;
      }
      around.out(`${JSON.stringify(publicKey, null, 2)}\n`);
      note(around, `The private key is in ${out}: keep it to yourself.`);
      note(around, `The public key, printed above, is in ${publicFile}.`);
      note(around, 'Next: send the public key to your lead or the admin of the host lab, who runs');
      note(
        around,
        `  ${commandLine(around, `person add --lab lab_… --name "Your Name" --role researcher --public-key ${publicFile}`)}`,
      );
      note(around, 'and with the id that they give you:');
      note(around, `  ${commandLine(around, `login --url https://… --person per_… --key ${out}`)}`);
    });
}
