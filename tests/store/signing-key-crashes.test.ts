/**
 * Token keys when the process dies, as by `kill -9`, at each step between the file of a private half and the
 * transaction that puts it to use or out of use: whatever is left, the next start makes a whole of it.
 */
import { createPublicKey } from 'node:crypto';
import { linkSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Broker } from '../../src/broker/broker.ts';
import {
  advanceSigningKeys,
  openSigningKeys,
  retireSigningKey,
  rotateSigningKeys,
} from '../../src/broker/manage-signing-keys.ts';
import { Policy } from '../../src/broker/policy.ts';
import type { SigningKeyState } from '../../src/core/signing-keys.ts';
import { mintId } from '../../src/lib/ids.ts';
import { KeyRing } from '../../src/oauth/key-ring.ts';
import { verificationKey } from '../../src/oauth/signing-key.ts';
import type { Store } from '../../src/store/client.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import type { ArgsOf, OperationName } from '../../src/store/operations/index.ts';
import { Readers } from '../../src/store/readers.ts';
import { LocalWriter, makeDataDirectory, makeWorld, type World } from '../support/store.ts';

const NOW = 1_750_000_000_000;
const OVERLAP = 600_000;
/** Past the time for which a key stays published after it stopped signing. */
const LONG_AFTER = 3_600_000;

const MOMENTS = ['before the commit', 'after the commit'] as const;
type At = (typeof MOMENTS)[number];

let directory: string;
let writer: LocalWriter;
let world: World;

beforeEach(async () => {
  directory = makeDataDirectory();
  writer = new LocalWriter(directory, NOW);
  world = await makeWorld(writer.write, NOW);
});

/** A process of the broker, as far as keys go. */
class Process {
  readonly ring = new KeyRing(join(directory, 'keys'));
  readonly broker: Broker;
  readonly warnings: string[] = [];
  #diesAt: At | undefined;
  #died: () => void = () => undefined;

  constructor() {
    const readers = new Readers(join(directory, DATABASE_FILE));
    onTestFinished(() => readers.close());
    const write = (line: string): void =>
      void this.warnings.push((JSON.parse(line) as { msg: string }).msg);
    this.broker = {
      readers,
      store: { write: this.#write } as unknown as Store,
      signingKeys: this.ring,
      keyOverlapMs: OVERLAP,
      clock: () => writer.now,
      log: pino({ level: 'warn' }, { write }),
      policy: new Policy(readers.readPolicy(writer.now), 0, new Map()),
    } as unknown as Broker;
  }

  /** Has it die in the next transaction: nothing that would have come after is done any more. */
  async dies(at: At, work: () => Promise<unknown>): Promise<void> {
    this.#diesAt = at;
    const died = new Promise<void>((resolve) => (this.#died = resolve));
    void work();
    await died;
  }

  /** As the store in the main thread: changes come first, then the result. */
  readonly #write = async (name: OperationName, args: ArgsOf<OperationName>): Promise<unknown> => {
    if (this.#diesAt === 'before the commit') return this.#die();
    const { answers, changes } = writer.commit(writer.call(name, args));
    if (this.#diesAt === 'after the commit') return this.#die();
    for (const change of changes) if (change.kind === 'key') this.ring.apply(change.value);
    const [answer] = answers;
    if (answer && 'value' in answer) return answer.value;
    throw new Error(JSON.stringify(answer));
  };

  #die(): Promise<never> {
    this.#died();
    return new Promise(() => undefined);
  }
}

/** Starts again on what is there, and takes the time on that has passed meanwhile. */
async function start(passed = 0): Promise<Process> {
  writer.close();
  writer = new LocalWriter(directory, writer.now + passed);
  const process = new Process();
  await openSigningKeys(process.broker);
  return process;
}

const keysFolder = (): string => join(directory, 'keys');
const tokenFiles = (): string[] =>
  readdirSync(keysFolder()).filter((name) => name.startsWith('token'));
const kidsOnDisk = (): string[] => new KeyRing(keysFolder()).held.map(({ kid }) => kid);

const inState = (state: SigningKeyState): string[] =>
  writer.context.db.$client
    .prepare('SELECT kid FROM signing_keys WHERE state = ? ORDER BY created_at, kid')
    .pluck()
    .all(state) as string[];

/** How many keys are in which state. */
const states = (): Partial<Record<SigningKeyState, number>> =>
  Object.fromEntries(
    (['next', 'active', 'retiring', 'retired'] as const)
      .map((state) => [state, inState(state).length] as const)
      .filter(([, many]) => many > 0),
  );

/** What must be true after any start. */
function expectWhole({ ring }: Process): void {
  const [active, ...more] = inState('active');
  expect(more).toEqual([]);
  expect(ring.active.kid).toBe(active);
  const { x } = createPublicKey(ring.active.privateKey).export({ format: 'jwk' });
  expect(verificationKey(x as string).kid).toBe(active);
  const held = kidsOnDisk();
  expect(held).toEqual(expect.arrayContaining([active, ...inState('next')]));
  expect(held.filter((kid) => inState('retired').includes(kid))).toEqual([]);
  expect(readdirSync(keysFolder()).filter((name) => name.endsWith('.part'))).toEqual([]);
  const usable = [...inState('next'), ...inState('active'), ...inState('retiring')];
  expect(new Set(ring.published().map(({ kid }) => kid))).toEqual(new Set(usable));
}

/** A token that the active key has signed, with ten minutes to live. */
function addToken(signingKid: string): { isLive: () => boolean } {
  const id = mintId('tok', writer.now);
  const { $client } = writer.context.db;
  const expiresAt = writer.now + 600_000;
  $client
    .prepare(
      `INSERT INTO tokens (id, audience, person_id, lab_id, kid, issued_at, expires_at, signing_kid)
       VALUES (?, 'control', ?, ?, 'k', ?, ?, ?)`,
    )
    .run(id, world.researcher, world.partner, writer.now, expiresAt, signingKid);
  const read = (): unknown =>
    writer.context.db.$client.prepare('SELECT revoked_at FROM tokens WHERE id = ?').pluck().get(id);
  return { isLive: () => read() === null };
}

const rotate = ({ broker }: Process, now = false): Promise<unknown> =>
  rotateSigningKeys(broker, world.admin, { now });
const retire = ({ broker, ring }: Process): Promise<unknown> =>
  retireSigningKey(broker, world.safety, ring.active.kid, 'Leaked');
const advance = ({ broker }: Process): Promise<unknown> => advanceSigningKeys(broker);

const NEVER_USED = 'the folder of keys holds a token key that was never put to use: remove it';

interface Crash {
  /** What was done, whole, before. */
  before?: (process: Process) => Promise<unknown>;
  /** How much time passes after that. */
  wait?: number;
  step: (process: Process) => Promise<unknown>;
  /** The states, and the files left, after the start that follows: dead before the commit, and after it. */
  dead: Record<At, [ReturnType<typeof states>, number]>;
  /** Whether the step ends the tokens of the active key. */
  endsTokens?: boolean;
}

/** A file that no transaction put to use stays, and is warned of. */
const CRASHES: Record<string, Crash> = {
  'a rotation': {
    step: rotate,
    dead: {
      'before the commit': [{ active: 1 }, 2],
      'after the commit': [{ active: 1, next: 1 }, 2],
    },
  },
  'a rotation at once': {
    step: (process) => rotate(process, true),
    dead: {
      'before the commit': [{ active: 1 }, 2],
      'after the commit': [{ active: 1, retiring: 1 }, 2],
    },
  },
  'a rotation at once, while a key waits': {
    before: rotate,
    step: (process) => rotate(process, true),
    dead: {
      'before the commit': [{ active: 1, next: 1 }, 3],
      'after the commit': [{ active: 1, retiring: 1 }, 3],
    },
  },
  'the turn of the next key': {
    before: rotate,
    wait: OVERLAP,
    step: advance,
    // The start takes it up, and comes to the same.
    dead: {
      'before the commit': [{ active: 1, retiring: 1 }, 2],
      'after the commit': [{ active: 1, retiring: 1 }, 2],
    },
  },
  'the end of the old key': {
    before: (process) => rotate(process, true),
    wait: LONG_AFTER,
    step: advance,
    dead: {
      'before the commit': [{ active: 1, retired: 1 }, 1],
      'after the commit': [{ active: 1, retired: 1 }, 1],
    },
  },
  'retiring a leaked key': {
    step: retire,
    endsTokens: true,
    dead: {
      'before the commit': [{ active: 1 }, 2],
      'after the commit': [{ active: 1, retired: 1 }, 1],
    },
  },
  'retiring a leaked key, while another waits': {
    before: rotate,
    step: retire,
    endsTokens: true,
    dead: {
      'before the commit': [{ active: 1, next: 1 }, 3],
      'after the commit': [{ active: 1, retired: 1 }, 2],
    },
  },
};

const TABLE = Object.entries(CRASHES).flatMap(([name, crash]) =>
  MOMENTS.map((at) => [name, at, crash, crash.dead[at]] as const),
);

describe('a process that dies', () => {
  test.each(TABLE)('in %s, %s', async (_name, at, crash, [expected, files]) => {
    const first = await start();
    const old = first.ring.active.kid;
    await crash.before?.(first);
    writer.now += crash.wait ?? 0;
    const token = addToken(old);
    if (crash.wait === LONG_AFTER) writer.now += 600_000;
    await first.dies(at, () => crash.step(first));

    const next = await start();
    expectWhole(next);
    expect([states(), tokenFiles().length]).toEqual([expected, files]);
    expect(token.isLive()).toBe(!(crash.endsTokens && at === 'after the commit'));
    const { active = 0, next: waiting = 0, retiring = 0 } = expected;
    const isLeft = files > active + waiting + retiring;
    expect(next.warnings).toEqual(isLeft ? [NEVER_USED] : []);

    // It goes on from there: the step, whole, and a rotation to its end.
    await rotate(next, true);
    const last = await start(LONG_AFTER);
    expectWhole(last);
    expect(inState('active')).not.toContain(old);
    expect([inState('next'), inState('retiring')]).toEqual([[], []]);
    expect(kidsOnDisk()).toContain(last.ring.active.kid);
  });

  test.each(MOMENTS)('in its first start, %s, has one key', async (at) => {
    const first = new Process();
    await first.dies(at, () => openSigningKeys(first.broker));
    const [name] = tokenFiles();
    const next = await start();
    expectWhole(next);
    expect([states(), tokenFiles(), next.warnings]).toEqual([{ active: 1 }, [name], []]);
  });

  test('while it writes a file, leaves nothing of it', async () => {
    const first = await start();
    const [name = ''] = tokenFiles();
    const whole = readFileSync(join(keysFolder(), name), 'utf8');
    // Before the file has its name: whole or not. And after it, when it has two.
    writeFileSync(join(keysFolder(), 'token-abc.pem.1.part'), whole.slice(0, 40), { mode: 0o600 });
    linkSync(join(keysFolder(), name), join(keysFolder(), `${name}.2.part`));
    const next = await start();
    expectWhole(next);
    expect([next.ring.active.kid, tokenFiles()]).toEqual([first.ring.active.kid, [name]]);
    expect(next.warnings).toHaveLength(2);
  });

  test('before it has removed the file of a leaked key, removes it when it starts', async () => {
    const first = await start();
    const leaked = first.ring.active.kid;
    await first.dies('after the commit', () => retire(first));
    expect(kidsOnDisk()).toContain(leaked);
    await start();
    expect(kidsOnDisk()).not.toContain(leaked);
  });
});
