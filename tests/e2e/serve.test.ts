/** `sallyport serve`: what it says when it starts. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { cleanUp, newDirectory, startServe } from '../support/broker-process.ts';

afterAll(cleanUp);

test('without endpoints it serves, and says once that there is no model to call', async () => {
  const directory = newDirectory();
  const config = join(directory, 'sallyport.yaml');
  writeFileSync(
    config,
    JSON.stringify({
      server: { port: 0 },
      dataDir: join(directory, 'data'),
      log: { origin: 'o/x' },
    }),
  );
  const { process, url } = await startServe(config);
  await process.until(({ stderr }) => stderr.includes('no endpoint is configured') || undefined);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  expect(await process.end('SIGTERM')).toEqual({ code: 0, signal: null });
  expect(process.stderr.match(/no endpoint is configured/g)).toHaveLength(1);
});
