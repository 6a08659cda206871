/** A run of `sallyport connect` in this process, in front of a real broker, and the SDKs that use it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { vi } from 'vitest';
import { saveProfile } from '../../src/cli/profiles.ts';
import type { Grant } from '../../src/core/grants.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { sdks, type Access, type RunningBroker } from '../support/running-broker.ts';
import { newCli, type Cli } from './run-cli.ts';

export interface Run extends Pick<Access, 'openai' | 'anthropic'> {
  /** What it has said on standard error, each state of the changing line among it. */
  err: () => string;
  /** Ends it as a signal does. @returns its exit code */
  stop: () => Promise<number>;
}

/** Starts it for the broker's researcher, and waits until it serves. */
export async function startConnect(
  { people: { researcher }, url, test }: RunningBroker,
  grant: Grant,
  name: string,
  { clock = Date.now, options = [] }: { clock?: Clock; options?: string[] } = {},
): Promise<Run> {
  let [out, err] = ['', ''];
  let stop = (): void => undefined;
  const cli: Cli = newCli({
    clock,
    out: (text) => (out += text),
    err: (text) => (err += text),
    columns: () => 200,
    onSignal: (signal, listener) => {
      if (signal === 'SIGTERM') stop = listener;
      return () => undefined;
    },
  });
  const key = join(cli.folder, 'key.pem');
  const pem = researcher.privateKey.export({ type: 'pkcs8', format: 'pem' });
  writeFileSync(key, pem, { mode: 0o600 });
  saveProfile(cli.env, 'p', { url, issuer: test.broker.issuer, person: researcher.id, key });
  const asked = ['--grant', grant.id, '--purpose', 'hallucination', '--run', name, '--json'];
  const ended = cli.run('connect', ...asked, ...options);
  await vi.waitFor(() => {
    if (out === '') throw new Error(`It does not serve yet. ${err}`);
  }, 5_000);
  const port = JSON.parse(out) as { url: string; key: string };
  return {
    ...sdks(port.url, port.key),
    err: () => err,
    stop: async () => {
      stop();
      const { code } = await ended;
      cli.remove();
      return code;
    },
  };
}
