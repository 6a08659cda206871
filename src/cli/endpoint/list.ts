/** `sallyport endpoint list` */
import type { Command } from 'commander';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { printList } from '../lists.ts';
import type { Surroundings } from '../surroundings.ts';
import { endpointsSchema } from '../wire.ts';

export function addEndpointList(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'list', {
    summary: 'List the endpoints and the models at each',
    examples: ['sallyport endpoint list', 'sallyport endpoint list --json'],
  }).action(async (options: BrokerOptions) => {
    const broker = await connect(around, options);
    const endpoints = await broker.get('/endpoints', endpointsSchema);
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
