/** The files of signing keys when the disk hangs, or cannot be written: what signs must have its private half. */
import { readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Broker } from '../../src/broker/broker.ts';
import {
  advanceSigningKeys,
  openSigningKeys,
  retireSigningKey,
  rotateSigningKeys,
} from '../../src/broker/manage-signing-keys.ts';
import { Policy } from '../../src/broker/policy.ts';
import { createLogger } from '../../src/lib/log.ts';
import { KeyRing } from '../../src/oauth/key-ring.ts';
import { HeldWriter } from '../support/held-writer.ts';
import { makePeople, type People } from '../support/people.ts';
import { makeDataDirectory, makeWorld, openThreadStore } from '../support/store.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

describe('a rotation that the disk delays', () => {
  test('fails for its caller, and still has its key when it commits', async () => {
    const directory = makeDataDirectory();
    const held = new HeldWriter(directory);
    const opened = await openThreadStore(directory, held.thread, held.settings);
    const keys = join(directory, 'keys');
    const ring = new KeyRing(keys);
    const committed = new Promise<void>((resolve) => {
      opened.store.subscribe({
        onPolicyChanged(changes) {
          for (const change of changes) {
            if (change.kind !== 'key') continue;
            ring.apply(change.value);
            if (ring.published().length === 2) resolve();
          }
        },
        onFatal: (reason) => opened.fatal.push(reason),
      });
    });
    const { admin } = await makeWorld(opened.write, Date.now());
    const broker = {
      ...opened,
      signingKeys: ring,
      keyOverlapMs: 0,
      clock: () => Date.now(),
      log: createLogger({ level: 'silent' }),
      policy: new Policy(opened.readers.readPolicy(Date.now()), 0, new Map()),
    } as unknown as Broker;
    await openSigningKeys(broker);
    const first = ring.active.kid;

    held.hold();
    const rotated = rotateSigningKeys(broker, admin, { now: true });
    await expect(rotated).rejects.toThrow('log cannot be written');
    await held.isHanging();
    held.release();
    await committed;

    expect(ring.active.kid).not.toBe(first);
    const again = new KeyRing(keys);
    for (const record of opened.readers.listSigningKeys()) again.apply(record);
    expect(again.active.kid).toBe(ring.active.kid);
    expect(readdirSync(keys).filter((name) => name.startsWith('token'))).toHaveLength(2);
  });
});

describe('where no key can be written', () => {
  interface Started {
    test: TestBroker;
    people: People;
    /** The folder of keys is away until the result is called. */
    takeFolderAway: () => () => void;
    files: () => string[];
  }

  async function started(): Promise<Started> {
    const it = await startTestBroker();
    onTestFinished(() => it.close());
    const keys = join(it.dataDir, 'keys');
    const takeFolderAway = (): (() => void) => {
      renameSync(keys, `${keys}-away`);
      return () => renameSync(`${keys}-away`, keys);
    };
    const files = (): string[] => readdirSync(keys).filter((name) => name.startsWith('token'));
    return { test: it, people: await makePeople(it), takeFolderAway, files };
  }

  test('a leaked key is retired all the same if another waits, and its file goes later', async () => {
    const { test: it, people, takeFolderAway, files } = await started();
    const { broker } = it;
    const leaked = broker.signingKeys.active.kid;
    const { kid } = await rotateSigningKeys(broker, people.admin.id, { now: false });
    const giveBack = takeFolderAway();
    const retired = await retireSigningKey(broker, people.safety.id, leaked, 'Leaked');
    expect([retired.activeKid, broker.signingKeys.active.kid]).toEqual([kid, kid]);
    giveBack();
    expect(files()).toHaveLength(2);
    await advanceSigningKeys(broker);
    expect(files()).toEqual([`token-${kid.slice(0, 16)}.pem`]);
  });

  test('one that does not sign any more is retired, and a waiting one takes over', async () => {
    const { test: it, people, takeFolderAway } = await started();
    const { broker } = it;
    const first = broker.signingKeys.active.kid;
    const { kid } = await rotateSigningKeys(broker, people.admin.id, { now: false });
    const giveBack = takeFolderAway();
    await rotateSigningKeys(broker, people.admin.id, { now: true });
    expect(broker.signingKeys.active.kid).toBe(kid);
    await retireSigningKey(broker, people.safety.id, first, 'Leaked');
    expect(broker.signingKeys.accepted(first)).toBeUndefined();
    giveBack();
  });

  test('the only one stays, and whoever would retire or replace it is told what to do', async () => {
    const { test: it, people, takeFolderAway, files } = await started();
    const { broker } = it;
    const { kid } = broker.signingKeys.active;
    const before = files();
    const giveBack = takeFolderAway();
    const size = broker.readers.logSize();
    for (const refused of [
      retireSigningKey(broker, people.safety.id, kid, 'Leaked'),
      rotateSigningKeys(broker, people.admin.id, { now: true }),
      rotateSigningKeys(broker, people.admin.id, { now: false }),
    ]) {
      await expect(refused).rejects.toMatchObject({
        refusal: {
          code: 'unexpected',
          message: expect.stringContaining('folder of keys') as string,
        },
      });
    }
    giveBack();
    expect([broker.signingKeys.active.kid, files()]).toEqual([kid, before]);
    const denied = broker.readers.listEntries({ from: size, limit: 9, kind: 'action.denied' });
    expect(denied).toHaveLength(3);
  });
});
