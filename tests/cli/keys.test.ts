import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { saveProfile } from '../../src/cli/profiles.ts';
import type { Surroundings } from '../../src/cli/surroundings.ts';
import { createKeyFile } from '../../src/lib/key-file.ts';
import { json, startFakeBroker, type FakeBroker } from './fake-broker.ts';
import { SENTENCE, newCli, type Cli } from './run-cli.ts';
import { PERSON } from './sample-grant.ts';

const KID = `Q${'a'.repeat(42)}`;
const OTHER = `R${'b'.repeat(42)}`;

let broker: FakeBroker;
let cli: Cli;
beforeEach(async () => {
  broker = await startFakeBroker();
  cli = loggedIn();
});
afterEach(async () => {
  cli.remove();
  await broker.close();
});

function loggedIn(around: Partial<Surroundings> = {}): Cli {
  const made = newCli(around);
  const key = join(made.folder, 'key.pem');
  createKeyFile(key);
  saveProfile(made.env, 'p', { url: broker.url, issuer: broker.url, person: PERSON, key });
  return made;
}

const aKey = (kid: string, state: string, changes: object = {}) => ({
  kid,
  state,
  createdAt: '2026-01-01T00:00:00.000Z',
  activatesAt: null,
  activatedAt: null,
  replacedAt: null,
  retiredAt: null,
  ...changes,
});

const sentTo = (path: string): unknown => {
  const body = broker.asked.find((asked) => asked.path === `/api/v1${path}`)?.body;
  return body === undefined ? undefined : JSON.parse(body);
};

describe('keys list', () => {
  it('shows which key is where, and how many tokens hang on it', async () => {
    broker.on('/api/v1/keys', {
      items: [
        { ...aKey(KID, 'next', { activatesAt: '2026-01-01T00:10:00.000Z' }), liveTokens: 0 },
        { ...aKey(OTHER, 'active', { activatedAt: '2025-01-01T00:00:00.000Z' }), liveTokens: 12 },
      ],
    });
    const { code, out } = await cli.run('keys', 'list');
    expect(code).toBe(0);
    expect(out).toMatch(
      new RegExp(`^${KID} +next +2026-01-01T00:00:00Z +2026-01-01T00:10:00Z +- +- +0$`, 'm'),
    );
    expect(out).toMatch(new RegExp(`^${OTHER} +active .* 12$`, 'm'));
  });
});

describe('keys rotate', () => {
  it('says when the new key signs', async () => {
    broker.on(
      '/api/v1/keys/rotate',
      aKey(KID, 'next', { activatesAt: '2026-01-01T00:10:00.000Z' }),
    );
    const { code, out, err } = await cli.run('keys', 'rotate');
    expect(out).toBe(`Published ${KID}. It signs tokens from 2026-01-01T00:10:00Z on.\n`);
    expect(err).toContain('--now');
    expect(code).toBe(0);
    expect(sentTo('/keys/rotate')).toEqual({ now: false });
  });

  it('--now says that it signs', async () => {
    broker.on('/api/v1/keys/rotate', aKey(KID, 'active'));
    expect((await cli.run('keys', 'rotate', '--now')).out).toBe(`${KID} signs tokens now.\n`);
    expect(sentTo('/keys/rotate')).toEqual({ now: true });
  });

  it('passes the refusal on while a key waits', async () => {
    const detail = `A new key waits already: ${KID} signs from later on.`;
    broker.on('/api/v1/keys/rotate', json(409, { status: 409, code: 'already_exists', detail }));
    const { code, err } = await cli.run('keys', 'rotate');
    expect(err).toContain('A new key waits already');
    expect(err).toMatch(SENTENCE);
    expect(code).toBe(1);
  });
});

describe('keys retire', () => {
  const path = `/keys/${KID}/retire`;
  beforeEach(() =>
    broker.on(`/api/v1${path}`, { key: aKey(KID, 'retired'), activeKid: OTHER, tokensEnded: 1 }),
  );
  const ARGS = ['keys', 'retire', KID, '--grounds', 'Lost backup'];

  it('says what it ended and what signs now', async () => {
    const { code, out } = await cli.run(...ARGS, '--yes');
    expect(out).toBe(`Retired ${KID}. 1 live token ended.\n${OTHER} signs tokens now.\n`);
    expect(code).toBe(0);
    expect(sentTo(path)).toEqual({ grounds: 'Lost backup' });
  });

  it('retires nothing when there is nobody to ask', async () => {
    const { code, err } = await cli.run(...ARGS);
    expect(code).toBe(2);
    expect(err).toContain('--yes');
    expect(sentTo(path)).toBeUndefined();
  });

  it.each([true, false])('asks at a terminal (%s)', async (answer) => {
    const asking = loggedIn({ interactive: true, confirm: () => Promise.resolve(answer) });
    const { code } = await asking.run(...ARGS);
    asking.remove();
    expect(code).toBe(answer ? 0 : 1);
    expect(sentTo(path) !== undefined).toBe(answer);
  });

  it.each([
    ['without grounds', ['keys', 'retire', KID, '--yes'], "'--grounds <text>'"],
    [
      'of half an id',
      ['keys', 'retire', 'Qaa', '--grounds', 'x', '--yes'],
      'the whole id of a key',
    ],
  ])('%s ends with 2 and asks the broker for nothing', async (_what, args, expected) => {
    const { code, err } = await cli.run(...args);
    expect(code).toBe(2);
    expect(err).toContain(expected);
    expect(err).toMatch(SENTENCE);
    expect(broker.asked).toEqual([]);
  });
});
