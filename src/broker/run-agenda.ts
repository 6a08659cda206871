/** Has the store do what falls due. */
import type { Broker } from './broker.ts';

/** Does everything that has fallen due. Called every second; where nothing has, it costs one lookup. */
export async function runAgenda({ readers, store, clock }: Broker): Promise<void> {
  for (let more = readers.isAnythingDue(clock()); more;)
    ({ more } = await store.write('runAgenda', { now: clock() }));
}
