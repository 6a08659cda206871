/** `sallyport person add-key` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { namesFor } from '../names.ts';
import { printJson } from '../output.ts';
import { readPublicKey } from '../public-key.ts';
import type { Surroundings } from '../surroundings.ts';
import { personSchema } from '../wire.ts';
import { printPerson } from './print.ts';

interface AddKeyOptions extends BrokerOptions {
  publicKey: string;
}

export function addPersonAddKey(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'add-key', {
    summary: 'Register another key of yours',
    examples: ['sallyport person add-key per_01… --public-key new.pem.pub.json'],
  })
    .argument('<id>', 'you: nobody adds a key to somebody else', id('per'))
    .requiredOption('--public-key <file>', 'the public key, as "person keygen" writes it')
    .action(async (personId: string, options: AddKeyOptions) => {
      const publicKey = readPublicKey(options.publicKey);
      const broker = await connect(around, options);
      const person = await broker.post(`/people/${personId}/keys`, personSchema, { publicKey });
      if (options.json) printJson(around, person);
      else printPerson(around, person, await namesFor(broker, person));
    });
}
