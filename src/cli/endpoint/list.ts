/** `sallyport endpoint list` */
import type { Command } from 'commander';
import { z } from 'zod';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { printList } from '../lists.ts';
import type { Surroundings } from '../surroundings.ts';
import { endpointSchema } from '../wire.ts';

/** All endpoints come at once. */
const listSchema = z.looseObject({ items: z.array(endpointSchema), next: z.null() });

export function addEndpointList(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'list', {
    summary: 'List the endpoints and the models at each',
    examples: ['sallyport endpoint list', 'sallyport endpoint list --json'],
  }).action(async (options: BrokerOptions) => {
    const broker = await connect(around, options);
    const endpoints = await broker.get('/endpoints', listSchema);
    printList(
      around,
      options,
      endpoints,
      ['id', 'dialects', 'models', 'safeguards lifted'],
      (endpoint) => [
        endpoint.id,
        endpoint.dialects.join(', '),
        endpoint.models.join(', '),
        endpoint.safeguardsLifted.map(({ safeguard }) => safeguard).join(', ') || 'none',
      ],
    );
  });
}
