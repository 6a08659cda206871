import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import type { SigningKeyRecord } from '../../src/core/signing-keys.ts';
import { mintId } from '../../src/lib/ids.ts';
import { MOST_KEY_ENTRIES } from '../../src/store/operations/signing-keys.ts';
import { readSigningKeys } from '../../src/store/signing-key-rows.ts';
import {
  LocalWriter,
  by,
  makeDataDirectory,
  makeWorld,
  reserveArgs,
  type World,
} from '../support/store.ts';

const NOW = 1_750_000_000_000;
const OVERLAP = 600_000;
/** How long a key stays published after it stopped signing. */
const PUBLISHED_AFTER = 330_000;

interface NewKey {
  kid: string;
  x: string;
}

let writer: LocalWriter;
let world: World;

beforeEach(async () => {
  writer = new LocalWriter(makeDataDirectory(), NOW);
  world = await makeWorld(writer.write, NOW);
});

const aKey = (): NewKey => ({
  kid: randomBytes(32).toString('base64url'),
  x: randomBytes(32).toString('base64url'),
});

const ids = (): string[] => Array.from({ length: MOST_KEY_ENTRIES }, () => mintId('ent', NOW));

const open = (held: NewKey[], spare?: NewKey, found = false) =>
  writer.write('openSigningKeys', {
    at: writer.now,
    entryIds: ids(),
    held: held.map(({ kid }) => kid),
    spare: spare && { ...spare, found },
  });

/** A broker that has started for the first time, with its key. */
async function opened(): Promise<NewKey> {
  const key = aKey();
  await open([key], key);
  return key;
}

const rotate = (key: NewKey, now = false, actor = world.admin) =>
  writer.write('rotateSigningKeys', {
    by: by(actor, writer.now),
    key,
    activatesAt: writer.now + OVERLAP,
    now,
    entryIds: ids(),
  });

const retireArgs = ({ kid }: Pick<NewKey, 'kid'>, spare: NewKey, actor = world.safety) => ({
  by: by(actor, writer.now),
  kid,
  grounds: 'Leaked',
  spare,
  entryIds: ids(),
});

const advance = () => writer.write('advanceSigningKeys', { now: writer.now, entryIds: ids() });

const states = (): Record<string, SigningKeyRecord['state']> =>
  Object.fromEntries(readSigningKeys(writer.context.db).map(({ kid, state }) => [kid, state]));

const entries = (): [string, string | undefined][] =>
  writer
    .entries()
    .filter(({ kind }) => kind.startsWith('key.'))
    .map(({ kind, ref }) => [kind, ref]);

/** A token of the researcher, as it stands in the store. */
function addToken(signingKid: string | null, expiresAt: number): string {
  const id = mintId('tok', NOW);
  writer.context.db.$client
    .prepare(
      `INSERT INTO tokens (id, audience, person_id, lab_id, kid, issued_at, expires_at, signing_kid)
       VALUES (?, 'control', ?, ?, 'k', ?, ?, ?)`,
    )
    .run(id, world.researcher, world.partner, NOW, expiresAt, signingKid);
  return id;
}

const tokenRow = (id: string): { revoked_at: number | null; signing_kid: string | null } =>
  writer.context.db.$client
    .prepare('SELECT revoked_at, signing_kid FROM tokens WHERE id = ?')
    .get(id) as never;

describe('the first start', () => {
  test('has a new key sign, and says so', async () => {
    const key = await opened();
    expect(states()).toEqual({ [key.kid]: 'active' });
    expect(entries()).toEqual([
      ['key.created', key.kid],
      ['key.activated', key.kid],
    ]);
  });

  test('adopts the key of an older version together with the tokens that it signed', async () => {
    const token = addToken(null, NOW + 60_000);
    const key = aKey();
    await open([key], key, true);
    expect(tokenRow(token)).toEqual({ revoked_at: null, signing_kid: key.kid });
  });

  test('with a new key claims no token that it did not sign', async () => {
    const token = addToken(null, NOW + 60_000);
    const key = aKey();
    await open([key], key, false);
    expect(tokenRow(token).signing_kid).toBeNull();
  });
});

describe('a later start', () => {
  test('changes nothing where all is well', async () => {
    const key = await opened();
    const size = writer.count('entries');
    expect(await open([key])).toEqual({ lost: [], tokensEnded: 0 });
    expect(states()).toEqual({ [key.kid]: 'active' });
    expect(writer.count('entries')).toBe(size);
  });

  test('without the active private half ends its tokens and has the spare one sign', async () => {
    const lost = await opened();
    const token = addToken(lost.kid, NOW + 60_000);
    const spare = aKey();
    expect(await open([spare], spare)).toEqual({ lost: [lost.kid], tokensEnded: 1 });
    expect(states()).toEqual({ [lost.kid]: 'retired', [spare.kid]: 'active' });
    expect(tokenRow(token).revoked_at).toBe(NOW);
    expect(writer.entries().find(({ kind }) => kind === 'key.retired')).toMatchObject({
      ref: lost.kid,
      actor: { system: 'broker' },
      data: { was: 'active', lost: true, tokensEnded: 1 },
    });
  });

  test('without the active private half has the next one sign, where that is there', async () => {
    const lost = await opened();
    const next = aKey();
    await rotate(next);
    await open([next]);
    expect(states()).toEqual({ [lost.kid]: 'retired', [next.kid]: 'active' });
  });

  test('without the next private half retires that key, and the active one signs on', async () => {
    const key = await opened();
    const next = aKey();
    await rotate(next);
    await open([key]);
    expect(states()).toEqual({ [key.kid]: 'active', [next.kid]: 'retired' });
  });

  test('needs no private half of a key that signs no more', async () => {
    const old = await opened();
    const key = aKey();
    await rotate(key, true);
    expect(await open([key])).toEqual({ lost: [], tokensEnded: 0 });
    expect(states()).toEqual({ [old.kid]: 'retiring', [key.kid]: 'active' });
  });
});

describe('a rotation', () => {
  test('goes step by step, each on record, and no step comes twice', async () => {
    const old = await opened();
    const key = aKey();
    const made = await rotate(key);
    expect(made).toMatchObject({ ...key, state: 'next', activatesAt: NOW + OVERLAP });
    const token = addToken(old.kid, NOW + OVERLAP + 3_600_000);

    writer.now = NOW + OVERLAP - 1;
    await advance();
    expect(states()).toEqual({ [old.kid]: 'active', [key.kid]: 'next' });

    writer.now += 1;
    await advance();
    await advance();
    expect(states()).toEqual({ [old.kid]: 'retiring', [key.kid]: 'active' });

    writer.now = NOW + OVERLAP + 3_600_000 - 1;
    await advance();
    expect(states()[old.kid]).toBe('retiring');
    writer.now += 1;
    await advance();
    await advance();
    expect(states()).toEqual({ [old.kid]: 'retired', [key.kid]: 'active' });
    // Its tokens have expired, not been revoked: a stream that began with one goes on.
    expect(tokenRow(token).revoked_at).toBeNull();
    expect(entries().slice(2)).toEqual([
      ['key.created', key.kid],
      ['key.replaced', old.kid],
      ['key.activated', key.kid],
      ['key.retired', old.kid],
    ]);
  });

  test('keeps the old key published while assertions that it signed can be good', async () => {
    const old = await opened();
    await rotate(aKey(), true);
    writer.now = NOW + PUBLISHED_AFTER - 1;
    await advance();
    expect(states()[old.kid]).toBe('retiring');
    writer.now += 1;
    await advance();
    expect(states()[old.kid]).toBe('retired');
  });

  test('is refused while a new key waits, and leaves no trace but the refusal', async () => {
    await opened();
    const waiting = aKey();
    await rotate(waiting);
    await expect(rotate(aKey())).rejects.toThrow(
      `A new key waits already: ${waiting.kid} signs from 2025-06-15T15:16:40Z on. Wait for that, or have it take over at once: "sallyport keys rotate --now".`,
    );
    expect(Object.values(states()).sort()).toEqual(['active', 'next']);
    expect(writer.entries().at(-1)).toMatchObject({
      kind: 'action.denied',
      reason: 'already_exists',
      data: { action: 'key.rotate' },
    });
  });

  test('of two in one commit makes one key', async () => {
    await opened();
    const args = () => ({
      by: by(world.admin, NOW),
      key: aKey(),
      activatesAt: NOW + OVERLAP,
      now: false,
      entryIds: ids(),
    });
    const { answers } = writer.commit(
      writer.call('rotateSigningKeys', args()),
      writer.call('rotateSigningKeys', args()),
    );
    expect(answers.map((answer) => 'value' in answer)).toEqual([true, false]);
    expect(writer.count('signing_keys')).toBe(2);
  });

  test('at once has the key sign that waits, or else the new one', async () => {
    const first = await opened();
    const waiting = aKey();
    await rotate(waiting);
    const unused = aKey();
    expect(await rotate(unused, true)).toMatchObject({ kid: waiting.kid, state: 'active' });
    const fresh = aKey();
    expect(await rotate(fresh, true)).toMatchObject({ kid: fresh.kid, state: 'active' });
    expect(states()).toEqual({
      [first.kid]: 'retiring',
      [waiting.kid]: 'retiring',
      [fresh.kid]: 'active',
    });
  });

  test('after the turn of the one before has come, though nobody has seen to that yet', async () => {
    const first = await opened();
    const second = aKey();
    await rotate(second);
    writer.now += OVERLAP;
    const third = aKey();
    await rotate(third);
    expect(states()).toEqual({
      [first.kid]: 'retiring',
      [second.kid]: 'active',
      [third.kid]: 'next',
    });
  });

  test('takes an admin of the host', async () => {
    await opened();
    for (const actor of [world.safety, world.lead, world.researcher])
      await expect(rotate(aKey(), false, actor)).rejects.toThrow('role admin of the host');
  });

  test('of many keys ends in parts that fit a transaction', async () => {
    await opened();
    for (let i = 0; i < 20; i += 1) await rotate(aKey(), true);
    writer.now += PUBLISHED_AFTER;
    await rotate(aKey());
    writer.now += OVERLAP;
    for (let i = 0; i < 4; i += 1) await advance();
    expect(Object.values(states()).filter((state) => state === 'retired')).toHaveLength(20);
    expect(Object.values(states()).filter((state) => state === 'active')).toHaveLength(1);
  });
});

describe('retiring a key', () => {
  test('that is active ends its tokens, and the spare key signs', async () => {
    const leaked = await opened();
    const live = addToken(leaked.kid, NOW + 60_000);
    const expired = addToken(leaked.kid, NOW - 60_000);
    // A stream that began with it is running still.
    const running = addToken(leaked.kid, NOW - 60_000);
    const { facts, ...rest } = reserveArgs(world, { epoch: writer.context.epoch, at: NOW });
    await writer.write('reserve', { ...rest, facts: { ...facts, tokenId: running } });
    const spare = aKey();
    const { answers, changes } = writer.commit(
      writer.call('retireSigningKey', retireArgs(leaked, spare)),
    );
    expect(answers[0]).toMatchObject({
      value: {
        key: { kid: leaked.kid, state: 'retired', retiredAt: NOW },
        activeKid: spare.kid,
        tokensEnded: 1,
      },
    });
    for (const id of [live, running]) expect(tokenRow(id).revoked_at).toBe(NOW);
    expect(tokenRow(expired).revoked_at).toBeNull();
    expect(changes).toContainEqual({ kind: 'tokens_ended', ids: [live, running], at: NOW });
    expect(writer.entries().slice(-3)).toMatchObject([
      {
        kind: 'key.retired',
        ref: leaked.kid,
        actor: { person: world.safety },
        data: { was: 'active', grounds: 'Leaked', tokensEnded: 1 },
      },
      { kind: 'key.created', ref: spare.kid },
      { kind: 'key.activated', ref: spare.kid },
    ]);
  });

  test('that is active has the next one sign before its time', async () => {
    const leaked = await opened();
    const next = aKey();
    await rotate(next);
    await writer.write('retireSigningKey', retireArgs(leaked, aKey()));
    expect(states()).toEqual({ [leaked.kid]: 'retired', [next.kid]: 'active' });
  });

  test('that is not active leaves the active one and its tokens alone', async () => {
    const old = await opened();
    const key = aKey();
    await rotate(key, true);
    const next = aKey();
    await rotate(next);
    const good = addToken(key.kid, NOW + 60_000);
    const bad = addToken(old.kid, NOW + 60_000);
    for (const one of [next, old]) {
      const retired = await writer.write('retireSigningKey', retireArgs(one, aKey()));
      expect(retired.activeKid).toBe(key.kid);
    }
    expect(tokenRow(good).revoked_at).toBeNull();
    expect(tokenRow(bad).revoked_at).toBe(NOW);
    expect(states()).toEqual({
      [old.kid]: 'retired',
      [key.kid]: 'active',
      [next.kid]: 'retired',
    });
  });

  test('makes what was decided under it stale, in the same commit', async () => {
    const leaked = await opened();
    const { epoch } = writer.context;
    const kid = writer.context.db.$client
      .prepare('SELECT kid FROM person_keys WHERE person_id = ?')
      .pluck()
      .get(world.researcher) as string;
    const issue = {
      epoch,
      entryId: mintId('ent', NOW),
      actor: { person: world.researcher, lab: world.partner, roles: ['researcher'] },
      used: { assertions: [], proof: undefined },
      token: {
        id: mintId('tok', NOW),
        personId: world.researcher,
        labId: world.partner,
        kid,
        vouchedBy: 'person' as const,
        jkt: null,
        signingKid: leaked.kid,
        issuedAt: NOW,
        expiresAt: NOW + 60_000,
      },
    };
    const { answers } = writer.commit(
      writer.call('retireSigningKey', retireArgs(leaked, aKey())),
      writer.call('issueToken', issue),
    );
    expect(answers[1]).toMatchObject({ value: { kind: 'stale' } });
    expect(writer.count('tokens')).toBe(0);
  });

  test('a second time, or one that does not exist, is refused', async () => {
    const key = await opened();
    await writer.write('retireSigningKey', retireArgs(key, aKey()));
    await expect(writer.write('retireSigningKey', retireArgs(key, aKey()))).rejects.toThrow(
      'retired already',
    );
    await expect(writer.write('retireSigningKey', retireArgs(aKey(), aKey()))).rejects.toThrow(
      'no such key',
    );
    expect(Object.values(states()).sort()).toEqual(['active', 'retired']);
  });

  test('takes an admin or a safety officer of the host', async () => {
    const key = await opened();
    for (const actor of [world.lead, world.researcher])
      await expect(
        writer.write('retireSigningKey', retireArgs(key, aKey(), actor)),
      ).rejects.toThrow('role admin or safety of the host');
    await writer.write('retireSigningKey', retireArgs(key, aKey(), world.admin));
  });
});
