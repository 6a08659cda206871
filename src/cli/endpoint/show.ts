/** `sallyport endpoint show` */
import type { Command } from 'commander';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { printDetails, printJson, printTable } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { endpointSchema, type Endpoint } from '../wire.ts';

export function addEndpointShow(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'show', {
    summary: 'Show an endpoint, and each safeguard that is lifted there, with reason and owner',
    examples: ['sallyport endpoint show chat'],
  })
    .argument('<id>', 'the endpoint, as "endpoint list" names it')
    .action(async (endpointId: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const path = `/endpoints/${encodeURIComponent(endpointId)}`;
      const endpoint = await broker.get(path, endpointSchema);
      if (options.json) printJson(around, endpoint);
      else print(around, endpoint);
    });
}

function print(around: Surroundings, endpoint: Endpoint): void {
  const { features, prices, safeguardsLifted: lifted } = endpoint;
  const on = Object.entries(features).flatMap(([name, value]) => {
    if (value === true) return [name];
    if (value === false || (Array.isArray(value) && value.length === 0)) return [];
    return [`${name} ${Array.isArray(value) ? value.join(' ') : String(value)}`];
  });
  printDetails(around, [
    ['id', endpoint.id],
    ['description', endpoint.description || undefined],
    ['dialects', endpoint.dialects.join(', ')],
    ['models', endpoint.models.join(', ')],
    ['offers at most', on.join(', ')],
    [
      'prices',
      prices &&
        `$${prices.inputUsdPerMillion} in, $${prices.outputUsdPerMillion} out per million tokens`,
    ],
    ['safeguards lifted', lifted.length === 0 ? 'none' : lifted.length],
  ]);
  if (lifted.length === 0) return;
  around.out('\n');
  printTable(
    around,
    ['safeguard', 'reason', 'owner'],
    lifted.map(({ safeguard, reason, owner }) => [safeguard, reason, owner]),
  );
}
