/** The process of the load generator: sends what it is told to, until its parent goes away. */
import { Pool } from 'undici';
import { callInLanes } from './harness.ts';
import type { Load, Refused } from './load-generator.ts';

let loaded: Load | undefined;

process.on('message', (message: Load | 'send') => {
  if (message !== 'send') {
    loaded = message;
    process.send?.('loaded');
  } else if (loaded) void send(loaded).then((refused) => process.send?.(refused));
});
process.on('disconnect', () => process.exit());

async function send({ url, lanes, requests }: Load): Promise<Refused> {
  const { origin, pathname } = new URL(url);
  const pool = new Pool(origin, { connections: lanes });
  const refused: Refused = {};
  await callInLanes(requests.length, lanes, async (n) => {
    const { statusCode, body } = await pool.request({
      method: 'POST',
      path: pathname,
      ...requests[n]!,
    });
    await body.dump();
    if (statusCode !== 200) refused[statusCode] = (refused[statusCode] ?? 0) + 1;
  });
  await pool.close();
  return refused;
}
