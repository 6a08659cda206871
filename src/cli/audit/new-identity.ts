/** `sallyport audit new-identity`: a key that opens sealed transcripts. */
import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { newIdentity } from '../../audit/sealing/age-identity.ts';
import { defineCommand, withJson } from '../define.ts';
import { note, printJson, say, type JsonOption } from '../output.ts';
import { fileTrouble, wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';

export function addAuditNewIdentity(group: Command, around: Surroundings): void {
  const command = defineCommand(group, 'new-identity <file>', {
    summary: 'Make a key that opens transcripts which are sealed to it',
    details:
      'Writes an age identity, as "age-keygen" does, into a file that only you can read, and prints its recipient, which goes into the grant. Whoever loses the key cannot open what was sealed to it; whoever gets it can.',
    examples: ['sallyport audit new-identity transcripts.key'],
  });
  withJson(command).action((path: string, options: JsonOption) => {
    const { identity, recipient } = newIdentity();
    const made = new Date(around.clock()).toISOString();
    const text = `# created: ${made}\n# public key: ${recipient}\n${identity}\n`;
    try {
      writeFileSync(path, text, { flag: 'wx', mode: 0o600 });
    } catch (error) {
      const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
      const why = exists ? 'it exists already, and a key is never overwritten' : fileTrouble(error);
      throw wrongUsage(`Cannot write ${path}: ${why}.`, error);
    }
    if (options.json) printJson(around, { file: path, recipient });
    else {
      say(around, recipient);
      note(around, `The key is in ${path}. Keep a copy where it cannot get lost.`);
    }
  });
}
