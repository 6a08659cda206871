/** The commands for transcripts: opened offline by whoever holds the key, fetched, checked and destroyed. */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newIdentity } from '../../src/audit/sealing/age-identity.ts';
import { seal } from '../../src/audit/sealing/age-seal.ts';
import { saveProfile } from '../../src/cli/profiles.ts';
import { recordHead } from '../../src/core/transcripts/records.ts';
import { saveKeyFile } from '../../src/lib/key-file.ts';
import { HELLO, post, startRunningBroker, type RunningBroker } from '../support/running-broker.ts';
import { openaiJson } from '../support/scripted-upstream.ts';
import { FULL, HOLDER, SEALED, lastCall } from '../support/transcripts.ts';
import { SENTENCE, newCli } from './run-cli.ts';

const cli = newCli();
afterAll(() => cli.remove());

const file = (name: string, content: Buffer | string): string => {
  const path = join(cli.folder, name);
  writeFileSync(path, content);
  return path;
};

const REQUEST = `req_${'1'.repeat(26)}`;
const OTHER = `req_${'2'.repeat(26)}`;
const BODY = Buffer.from('{"messages":"Hello!"}');

const record = (request: string, body: Buffer, salt: Buffer): Buffer => {
  const head = { request, part: 'request' as const, salt: salt.toString('base64'), last: true };
  const line = recordHead({ ...head, bytes: body.length });
  return Buffer.concat([Buffer.from(line), body, Buffer.from('\n')]);
};

describe('audit open', () => {
  const { identity, recipient } = newIdentity();
  const salt = randomBytes(16);
  const plain = Buffer.concat([record(REQUEST, BODY, salt), record(OTHER, BODY, randomBytes(16))]);
  const stream = seal([recipient]);
  const sealed = Buffer.concat([...stream.update(plain), ...stream.final()]);
  const path = file('sealed.age', sealed);
  const key = file('key.txt', `${identity}\n`);
  const commitment = createHmac('sha256', salt).update(BODY).digest('base64');
  const entries = (sha256: string, requestCommitment = commitment): string =>
    JSON.stringify([
      { kind: 'request.intent', ref: REQUEST, data: { requestCommitment } },
      {
        kind: 'request.outcome',
        ref: REQUEST,
        data: {
          transcript: {
            mode: 'sealed',
            recipients: [],
            request: { sha256, bytes: sealed.length, until: '2030-01-01T00:00:00.000Z' },
          },
        },
      },
    ]);
  const digest = createHash('sha256').update(sealed).digest('hex');
  const entry = file('entries.json', entries(digest));

  const changed = Buffer.concat([sealed.subarray(0, -1), Buffer.of((sealed.at(-1) ?? 0) ^ 1)]);
  const others = seal([recipient]);
  const swapped = Buffer.concat([
    ...others.update(Buffer.concat([record(OTHER, BODY, salt), record(OTHER, BODY, salt)])),
    ...others.final(),
  ]);

  const shorter = seal([recipient]);
  const swappedShorter = Buffer.concat([
    ...shorter.update(record(OTHER, BODY, salt)),
    ...shorter.final(),
  ]);
  const unsealed = record(REQUEST, BODY, salt);
  const another = record(OTHER, BODY, salt);

  it('opens with the key of a recipient, and holds each body against its entry', async () => {
    const { code, out } = await cli.run('audit', 'open', path, '--identity', key, '--entry', entry);
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`${REQUEST} .*is what the log commits to`));
    expect(out).toMatch(new RegExp(`${OTHER} .*not checked`));
    expect(out).toContain('{"messages":"Hello!"}');
  });

  it('shows one request alone where it is asked to, and writes bodies into files', async () => {
    const out = join(cli.folder, 'opened');
    const more = ['--request', REQUEST, '--out', out];
    expect((await cli.run('audit', 'open', path, '--identity', key, ...more)).code).toBe(0);
    expect(readdirSync(out)).toEqual([`${REQUEST}.request`]);
    expect(readFileSync(join(out, `${REQUEST}.request`))).toEqual(BODY);
    expect(statSync(join(out, `${REQUEST}.request`)).mode & 0o777).toBe(0o600);
    const again = await cli.run('audit', 'open', path, '--identity', key, ...more);
    expect([again.code, again.err]).toEqual([3, expect.stringMatching(/exists already/)]);
  });

  it('does not call sound what holds nothing of the request that is asked for', async () => {
    const third = `req_${'3'.repeat(26)}`;
    const options = ['--identity', key, '--request', third];
    const { code, err } = await cli.run('audit', 'open', path, ...options);
    expect([code, err]).toEqual([3, expect.stringMatching(/nothing of what was asked for/)]);
  });

  it('says of a body that is too long to be printed how to get all of it', async () => {
    const long = Buffer.from('x'.repeat((1 << 20) + 5));
    const records = [long.subarray(0, 600_000), long.subarray(600_000)].map((part, i) =>
      Buffer.concat([
        Buffer.from(
          recordHead({
            request: REQUEST,
            part: 'request',
            salt: salt.toString('base64'),
            bytes: part.length,
            last: i === 1,
          }),
        ),
        part,
        Buffer.from('\n'),
      ]),
    );
    const { code, out, err } = await cli.run(
      'audit',
      'open',
      file('long.records', Buffer.concat(records)),
    );
    expect(code).toBe(0);
    expect(out.match(/x+/g)?.map(({ length }) => length)).toContain(1 << 20);
    expect(err).toContain(`the first ${1 << 20} of ${long.length} bytes are printed. With --out`);
  });

  it.each<[string, () => string, () => string, string[], number]>([
    ['a body that the log does not commit to', () => path, () => key, [entries(digest, 'AAAA')], 1],
    ['a file that is another than the entry names', () => path, () => key, [entries('00')], 1],
    ['a file with a changed byte', () => file('changed.age', changed), () => key, [], 2],
    [
      'a file with a changed byte, of which the entry knows how long it was',
      () => file('changed.age', changed),
      () => key,
      [entries(digest)],
      1,
    ],
    [
      'a file in the place of another',
      () => file('swapped.age', swapped),
      () => key,
      [entries(digest)],
      1,
    ],
    [
      'a shorter file in the place of another',
      () => file('shorter.age', swappedShorter),
      () => key,
      [entries(digest)],
      1,
    ],
    [
      'a shorter file, not sealed, in the place of another',
      () => file('shorter.records', another),
      () => key,
      [entries(digest)],
      1,
    ],
    [
      'the beginning of a file, not sealed, in the place of another',
      () => file('begin.records', Buffer.concat([another, another.subarray(0, 150)])),
      () => key,
      [entries(digest)],
      1,
    ],
    [
      'a file, not sealed, that was cut',
      () => file('cut.records', unsealed.subarray(0, unsealed.length - 3)),
      () => key,
      [entries(digest)],
      2,
    ],
    [
      'a file, not sealed, that was cut behind a record',
      () =>
        file(
          'cut.records',
          Buffer.from(unsealed.toString().replace('"last":true', '"last":false')),
        ),
      () => key,
      [entries(digest)],
      2,
    ],
    [
      'a file that was cut, by its entry',
      () => file('cut.age', sealed.subarray(0, sealed.length - 10)),
      () => key,
      [entries(digest)],
      2,
    ],
    [
      'a file that was cut',
      () => file('cut.age', sealed.subarray(0, sealed.length - 10)),
      () => key,
      [],
      2,
    ],
    [
      'a file that is sealed to others',
      () => path,
      () => file('other.txt', newIdentity().identity),
      [],
      3,
    ],
    ['a file that is no transcript', () => file('none.age', 'Hello.\n'), () => key, [], 3],
  ])('of %s ends with its code', async (_what, of, by, given, code) => {
    const options = given.flatMap((text) => ['--entry', file('given.json', text)]);
    const ended = await cli.run('audit', 'open', of(), '--identity', by(), ...options);
    expect(ended.code).toBe(code);
  });
});

describe('audit new-identity', () => {
  it('makes a key for its owner alone, which the age program can use', async () => {
    const path = join(cli.folder, 'new.key');
    const { recipient } = await cli.json<{ recipient: string }>('audit', 'new-identity', path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, 'utf8')).toContain(`# public key: ${recipient}\nAGE-SECRET-KEY-1`);
    const again = await cli.run('audit', 'new-identity', path);
    expect([again.code, again.err]).toEqual([2, expect.stringMatching(SENTENCE)]);
  });
});

describe('with a broker', () => {
  let running: RunningBroker;
  let sealed: string;
  let full: string;
  let grant: string;

  beforeAll(async () => {
    running = await startRunningBroker();
    for (const name of ['auditor', 'admin', 'lead'] as const) {
      const key = join(cli.folder, `${name}.pem`);
      saveKeyFile(key, running.people[name].privateKey);
      const { url } = running;
      saveProfile(cli.env, name, { url, issuer: url, person: running.people[name].id, key });
    }
    running.upstream.respond(openaiJson({ content: 'A secret\u001b[2J answer.' }));
    const call = async (changes: object): Promise<[string, string]> => {
      const access = await running.access(changes);
      await post(`${running.url}/v1/chat/completions`, access.token, HELLO);
      return [lastCall(running, access.grant.id).request, access.grant.id];
    };
    [full] = await call(FULL);
    [sealed, grant] = await call(SEALED);
  });
  afterAll(() => running.close());

  const as = (who: string, ...args: string[]) => cli.run('audit', ...args, '--profile', who);

  it('the lead fetches what is sealed, and its holder opens and checks it offline', async () => {
    const out = join(cli.folder, 'fetched');
    const fetched = await as('lead', 'transcript', sealed, '--out', out);
    expect(fetched.code).toBe(0);
    expect(fetched.out).toContain('The auditor of the partner');
    const key = file('holder.key', HOLDER.identity);
    for (const part of ['request', 'response']) {
      const path = join(out, `${sealed}.${part}.age`);
      const entry = join(out, `${sealed}.entries.json`);
      const opened = await cli.run('audit', 'open', path, '--identity', key, '--entry', entry);
      expect(opened.code).toBe(0);
      expect(opened.out).toMatch(new RegExp(`${sealed} +${part} .*is what the log commits to`));
    }
  });

  it('an auditor reads what is kept in full; nothing in it acts on the terminal', async () => {
    const { code, out } = await as('auditor', 'transcript', full);
    expect(code).toBe(0);
    expect(out).toContain('Hello!');
    expect(out).not.toContain('\u001b');
  });

  it('the check finds nothing, and the destruction is no problem to it', async () => {
    const before = await as('auditor', 'transcripts', 'check');
    expect([before.code, before.out]).toEqual([
      0,
      '4 bodies as stored, 0 destroyed, nothing missing or changed.\n',
    ]);
    const destroy = ['transcripts', 'destroy', '--grant', grant, '--grounds', 'No longer needed'];
    expect((await as('admin', ...destroy)).err).toContain('Add --yes');
    const destroyed = await as('admin', ...destroy, '--yes');
    expect(destroyed.out).toMatch(/^2 bodies in \d files? destroyed \(tds_\w+\)\.\n$/);
    const after = await as('auditor', 'transcripts', 'check');
    expect([after.code, after.out]).toEqual([
      0,
      '2 bodies as stored, 2 destroyed, nothing missing or changed.\n',
    ]);
  });
});
