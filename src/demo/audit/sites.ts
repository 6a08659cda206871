/** Two brokers of the demo that watch each other: each must know the other's address and keys before it runs. */
import { mkdirSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createLogKey } from '../../audit/log-key.ts';
import { WITNESS_KEY_FILE, openWitnessKey, witnessNameOf } from '../../audit/witness-key.ts';
import type { DemoOptions } from '../world.ts';

/** What a broker of the demo is started with. */
export type Site = Required<Pick<DemoOptions, 'dataDir' | 'origin' | 'port' | 'witnesses'>> & {
  /** Verifier keys of its log, and of itself as a witness. */
  logKey: string;
  witnessKey: string;
};

/** Seconds between two checkpoints that witnesses are asked for: a story is not to wait for ten. */
const ASK_EVERY_SECONDS = 0.2;

/** Two sites, each a witness of the other. */
export async function twoThatWatch(folder: string): Promise<[Site, Site]> {
  const host = await newSite(join(folder, 'host'), 'northwall');
  const partner = await newSite(join(folder, 'partner'), 'brightwater');
  watch(host, partner);
  watch(partner, host);
  return [host, partner];
}

async function newSite(dataDir: string, name: string): Promise<Site> {
  const origin = `${name}.invalid/sallyport`;
  const keys = join(dataDir, 'keys');
  mkdirSync(keys, { recursive: true, mode: 0o700 });
  return {
    dataDir,
    origin,
    port: await freePort(),
    witnesses: {},
    logKey: createLogKey(join(keys, 'log.pem'), origin).verifierKey,
    witnessKey: openWitnessKey(join(keys, WITNESS_KEY_FILE), witnessNameOf(origin)).verifierKey,
  };
}

function watch(watched: Site, by: Site): void {
  watched.witnesses = {
    ...watched.witnesses,
    witnesses: [
      {
        name: 'partner',
        url: `http://127.0.0.1:${by.port}/witness`,
        verifierKey: by.witnessKey,
      },
    ],
    witnessPolicy: { needed: 1 },
    witnessing: { askEverySeconds: ASK_EVERY_SECONDS, allowInsecureLoopback: true },
  };
  by.witnesses = {
    ...by.witnesses,
    witnessed: [{ origin: watched.origin, verifierKeys: [watched.logKey] }],
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => void server.close(resolve));
  return port;
}
