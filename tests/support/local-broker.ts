/**
 * A broker in this thread, for tests that run its verbs many thousands of times: the real policy, readers, operations and
 * database, without a writer thread, a listener and the syncs of a disk.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { z } from 'zod';
import type { Broker } from '../../src/broker/broker.ts';
import { LiveRequests } from '../../src/broker/live-requests.ts';
import { openSigningKeys } from '../../src/broker/manage-signing-keys.ts';
import { Policy } from '../../src/broker/policy.ts';
import { RepeatedDenials } from '../../src/broker/repeated-denials.ts';
import { recordSystem } from '../../src/broker/run-broker.ts';
import { TokenQuota } from '../../src/broker/token-quota.ts';
import { configSchema, type Config } from '../../src/config/schema.ts';
import { configuredBy } from '../../src/core/configured.ts';
import { RefusedError } from '../../src/core/denials.ts';
import { createLogger } from '../../src/lib/log.ts';
import { KeyRing } from '../../src/oauth/key-ring.ts';
import type { Store } from '../../src/store/client.ts';
import { canNarrow } from '../../src/store/context.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import { Readers } from '../../src/store/readers.ts';
import { LocalWriter, ORIGIN, type Write } from './store.ts';

/** In memory, where there is such a place: what is thrown away at once need not reach a disk. */
const PLACE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

type ConfigInput = z.input<typeof configSchema>;

/** Parses what a configuration says of grants and orders. */
export const localConfig = (
  parts: Pick<ConfigInput, 'endpoints' | 'authority' | 'neverGrant'>,
): Config =>
  configSchema.parse({ dataDir: PLACE, log: { origin: ORIGIN }, ...parts } satisfies ConfigInput);

/** One for all: each listens for the end of the process. */
const log = createLogger({ level: 'silent' });

/** A moment that the test sets. */
export interface Time {
  now: number;
}

export class LocalBroker {
  readonly broker: Broker;
  readonly writer: LocalWriter;
  readonly time: Time;
  readonly dataDir: string;

  private constructor(dataDir: string, config: Config, time: Time) {
    this.dataDir = dataDir;
    this.time = time;
    const clock = (): number => time.now;
    const { authority: rules, neverGrant: excluded, endpoints: listed } = config;
    const approvalsOf = Object.fromEntries(listed.map(({ id, approvals }) => [id, approvals]));
    const grantSettings = { excluded, approvalsOf };
    this.writer = new LocalWriter(dataDir, time.now, {
      rules,
      grants: grantSettings,
      closedByCaller: true,
    });
    const readers = new Readers(join(dataDir, DATABASE_FILE));
    const endpoints = new Map(listed.map((endpoint) => [endpoint.id, endpoint]));
    const policy = new Policy(readers.readPolicy(time.now), 0, endpoints);
    const store = { write: this.#write, caughtUp: () => Promise.resolve() } as unknown as Store;
    const parts = { store, clock, log };
    const url = 'https://broker.example';
    // What the verbs of grants, orders, people and tokens ask for, and no more.
    this.broker = {
      clock,
      log,
      publicUrl: url,
      issuer: url,
      audiences: { gateway: `${url}/v1`, control: `${url}/api/v1` },
      rules,
      configured: configuredBy(excluded, listed),
      approvalsOf,
      channels: [],
      forwarding: { receivers: [] },
      controlTokenLifetimeMs: 900_000,
      signingKeys: new KeyRing(join(dataDir, 'keys')),
      endpoints,
      store,
      readers,
      policy,
      live: new LiveRequests(clock),
      repeatedDenials: new RepeatedDenials(parts),
      tokenQuota: new TokenQuota({ policy, clock, most: 1_000 }),
    } as unknown as Broker;
  }

  /** A broker over an empty data directory that is kept until {@link discard}. */
  static async create(config: Config, now: number): Promise<LocalBroker> {
    const dataDir = mkdtempSync(join(PLACE, 'sallyport-local-'));
    mkdirSync(join(dataDir, 'keys'), { mode: 0o700 });
    const local = new LocalBroker(dataDir, config, { now });
    await openSigningKeys(local.broker);
    await recordSystem(local.broker, 'system.started');
    return local;
  }

  /** A copy of a broker that is closed, as it stood. */
  static copyOf(template: LocalBroker, config: Config, now: number): LocalBroker {
    const dataDir = mkdtempSync(join(PLACE, 'sallyport-local-'));
    cpSync(template.dataDir, dataDir, { recursive: true });
    const local = new LocalBroker(dataDir, config, { now });
    const { readers, signingKeys } = local.broker;
    for (const record of readers.listSigningKeys()) signingKeys.apply(record);
    return local;
  }

  readonly #write: Write = (name, args) => {
    const { writer, broker, time } = this;
    writer.now = time.now;
    const { answers, changes, epoch, why } = writer.commit(writer.call(name, args));
    // As the broker follows its store: before anybody hears of the result.
    broker.policy.apply(changes, epoch);
    for (const change of changes) if (change.kind === 'key') broker.signingKeys.apply(change.value);
    if (changes.some(canNarrow)) broker.live.decideAgain();
    const [answer] = answers;
    if (answer && 'value' in answer) return Promise.resolve(answer.value as never);
    if (answer && 'refused' in answer && why === undefined)
      return Promise.reject(new RefusedError(answer.refused));
    return Promise.reject(new Error(why ?? (answer && 'failed' in answer ? answer.failed : '')));
  };

  /** Closes the files and leaves them where they are. */
  async close(): Promise<void> {
    for (const request of this.broker.live.all()) this.broker.live.leave(request);
    await this.broker.repeatedDenials.close();
    this.broker.readers.close();
    this.writer.close();
  }

  async discard(): Promise<void> {
    await this.close();
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}
