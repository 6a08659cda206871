import { createPublicKey } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { calculateJwkThumbprint } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SigningKeyRecord } from '../../src/core/signing-keys.ts';
import { createKeyFile } from '../../src/lib/key-file.ts';
import { KeyRing } from '../../src/oauth/key-ring.ts';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'sallyport-keys-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const record = (
  key: { kid: string; x: string },
  state: SigningKeyRecord['state'],
): SigningKeyRecord => ({
  ...key,
  state,
  createdAt: 0,
  activatesAt: null,
  activatedAt: null,
  replacedAt: null,
  retiredAt: null,
});

const kids = (ring: KeyRing): unknown[] => ring.published().map(({ kid }) => kid);

describe('a key ring', () => {
  it('signs with the active key, accepts that and retiring ones, publishes the next one, too', () => {
    const ring = new KeyRing(folder);
    expect(() => ring.active).toThrow('No key signs tokens.');
    const [next, active, retiring] = [ring.make(), ring.make(), ring.make()];
    ring.apply(record(next, 'next'));
    ring.apply(record(active, 'active'));
    ring.apply(record(retiring, 'retiring'));
    expect(ring.active.kid).toBe(active.kid);
    expect(ring.accepted(next.kid)).toBeUndefined();
    expect(ring.accepted(active.kid)?.kid).toBe(active.kid);
    expect(ring.accepted(retiring.kid)?.kid).toBe(retiring.kid);
    expect(kids(ring)).toEqual([next.kid, active.kid, retiring.kid]);
    for (const jwk of ring.published())
      expect(Object.keys(jwk).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x']);
    expect(ring.isChanging).toBe(true);
    ring.apply(record(next, 'retired'));
    ring.apply(record(retiring, 'retired'));
    expect(kids(ring)).toEqual([active.kid]);
    expect(ring.accepted(retiring.kid)).toBeUndefined();
    expect(ring.isChanging).toBe(false);
  });

  it('knows keys by RFC 7638, and finds their files by what is in them', async () => {
    const made = new KeyRing(folder).make();
    const [name] = readdirSync(folder);
    expect(name).toBe(`token-${made.kid.slice(0, 16)}.pem`);
    expect(statSync(join(folder, name as string)).mode & 0o777).toBe(0o600);
    renameSync(join(folder, name as string), join(folder, 'token.pem'));
    const ring = new KeyRing(folder);
    expect(ring.held).toEqual([made]);
    ring.apply(record(made, 'active'));
    const jwk = createPublicKey(ring.active.privateKey).export({ format: 'jwk' });
    expect(made.kid).toBe(await calculateJwkThumbprint(jwk));
    ring.apply(record(made, 'retired'));
    expect(ring.removeSpent()).toEqual({ removed: [made.kid], failed: [] });
    expect(readdirSync(folder)).toEqual([]);
  });

  it('checks the tokens of a retiring key by its public half alone', () => {
    const made = new KeyRing(folder).make();
    for (const name of readdirSync(folder)) rmSync(join(folder, name));
    const ring = new KeyRing(folder);
    ring.apply(record(made, 'retiring'));
    expect(ring.accepted(made.kid)?.jwk.x).toBe(made.x);
  });

  it('gives up a key that was not put to use, and never one that was', () => {
    const ring = new KeyRing(folder);
    const [used, unused] = [ring.make(), ring.make()];
    ring.apply(record(used, 'next'));
    ring.discardUnused(used.kid);
    ring.discardUnused(unused.kid);
    expect(ring.removeSpent()).toEqual({ removed: [unused.kid], failed: [] });
    expect(new KeyRing(folder).held).toEqual([used]);
  });

  it('makes no kid that a command line would take for an option', () => {
    const ring = new KeyRing(folder);
    for (let i = 0; i < 200; i += 1) expect(ring.make().kid).not.toMatch(/^-/);
  });

  it('leaves other files alone', () => {
    createKeyFile(join(folder, 'log.pem'));
    const ring = new KeyRing(folder);
    expect(ring.held).toEqual([]);
    expect(ring.removeParts()).toEqual([]);
    expect(readdirSync(folder)).toEqual(['log.pem']);
  });

  it('takes nothing for a key that a crash left of one, and removes it', () => {
    const made = new KeyRing(folder).make();
    const [name] = readdirSync(folder);
    // The crash came when the key had its name already, and the one that it was made under, too.
    const parts = [`${name}.4f7a.part`, 'token-abc.pem.part'];
    linkSync(join(folder, name as string), join(folder, parts[0] as string));
    writeFileSync(join(folder, parts[1] as string), '-----BEGIN');
    const ring = new KeyRing(folder);
    expect(ring.held).toEqual([made]);
    expect(ring.removeParts().sort()).toEqual(parts.sort());
    expect(readdirSync(folder)).toEqual([name]);
    expect(new KeyRing(folder).held).toEqual([made]);
  });

  describe('removes the file of a key that is over', () => {
    const pathOf = (kid: string): string => join(folder, `token-${kid.slice(0, 16)}.pem`);
    const retiredKey = (ring: KeyRing): { kid: string; x: string } => {
      const key = ring.make();
      ring.apply(record(key, 'retired'));
      return key;
    };

    it('though others may read it, or another one', () => {
      const ring = new KeyRing(folder);
      const leaked = retiredKey(ring);
      const other = ring.make();
      linkSync(pathOf(leaked.kid), join(folder, 'token.pem'));
      for (const { kid } of [leaked, other]) chmodSync(pathOf(kid), 0o644);
      expect(ring.removeSpent()).toEqual({ removed: [leaked.kid], failed: [] });
      expect(readdirSync(folder)).toEqual([`token-${other.kid.slice(0, 16)}.pem`]);
    });

    it('under whatever names it goes, and no other that has its name', () => {
      const ring = new KeyRing(folder);
      const [leaked, good] = [retiredKey(ring), ring.make()];
      linkSync(pathOf(leaked.kid), join(folder, 'token.pem'));
      linkSync(pathOf(leaked.kid), join(folder, 'token-copy.pem'));
      renameSync(pathOf(good.kid), pathOf(leaked.kid));
      expect(ring.removeSpent()).toEqual({ removed: [leaked.kid], failed: [] });
      expect(new KeyRing(folder).held).toEqual([good]);
    });

    it('though nothing can be read in it any more', () => {
      const ring = new KeyRing(folder);
      const { kid } = retiredKey(ring);
      writeFileSync(pathOf(kid), '');
      expect(ring.removeSpent()).toEqual({ removed: [kid], failed: [] });
      expect(readdirSync(folder)).toEqual([]);
    });

    it('again and again until it is gone, and says once that it cannot', () => {
      const ring = new KeyRing(folder);
      const [stuck, next] = [retiredKey(ring), retiredKey(ring)];
      rmSync(pathOf(stuck.kid));
      mkdirSync(pathOf(stuck.kid));
      const failed = [{ kid: stuck.kid, why: expect.stringContaining('token-') as string }];
      expect(ring.removeSpent()).toEqual({ removed: [next.kid], failed });
      expect(ring.removeSpent()).toEqual({ removed: [], failed: [] });
      rmdirSync(pathOf(stuck.kid));
      expect(ring.removeSpent()).toEqual({ removed: [stuck.kid], failed: [] });
      expect(ring.removeSpent()).toEqual({ removed: [], failed: [] });
    });
  });

  it.each([
    ['open to others', (path: string) => chmodSync(path, 0o640), 'chmod 600'],
    ['not a key', (path: string) => writeFileSync(path, 'x'), 'is not a private key'],
  ])('refuses a file that is %s', (_what, spoil, expected) => {
    new KeyRing(folder).make();
    spoil(join(folder, readdirSync(folder)[0] as string));
    expect(() => new KeyRing(folder)).toThrow(expected);
  });
});
