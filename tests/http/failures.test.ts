/** What is answered when the broker itself cannot go on. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TokenChecker } from '../../src/broker/authenticate-token.ts';
import { createControlApp } from '../../src/http/app.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import { createLogger } from '../../src/lib/log.ts';
import { Api } from '../support/api.ts';
import { makePeople, tokenForm, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const logged: string[] = [];
const sink = new Writable({
  write(chunk: Buffer, _encoding, done) {
    logged.push(String(chunk));
    done();
  },
});

let test: TestBroker;
let people: People;
let api: Api;

beforeAll(async () => {
  test = await startTestBroker({ log: createLogger({ level: 'info' }, sink) });
  people = await makePeople(test);
  api = new Api(test);
  await Promise.all([api.tokenOf(people.admin), api.tokenOf(people.lead)]);
});
afterAll(() => test.close());

describe('an error that nobody foresaw', () => {
  it('is logged by request id, and nothing of it is shown', async () => {
    const readers = Object.create(test.broker.readers) as typeof test.broker.readers;
    readers.listLabs = () => {
      throw new Error('canary: password=hunter2');
    };
    const broker = { ...test.broker, readers };
    const app = createControlApp(broker, {
      tokens: new TokenChecker(broker),
      jwksMaxAgeSeconds: 300,
      addressOf: () => '127.0.0.1',
    });
    const token = await api.tokenOf(people.admin);
    const answer = await request(app).get('/api/v1/labs').set('authorization', `Bearer ${token}`);
    expect(answer.status).toBe(500);
    expect(answer.body).toMatchObject({ code: 'unexpected', title: 'Unexpected' });
    expect(answer.text).not.toMatch(/canary|hunter2|\.ts/);
    const line = logged.find((text) => text.includes('canary'));
    expect(JSON.parse(line ?? '{}')).toMatchObject({ requestId: answer.body.requestId });
    // No credential on its way into the log.
    expect(logged.join('')).not.toContain(token);
  });
});

describe('when the log cannot be written', () => {
  it('every write, and every reading that has to be recorded, is refused with 503 within a second', async () => {
    const form = await tokenForm(test, people.lead);
    rmSync(join(test.dataDir, DATABASE_FILE));
    const began = Date.now();
    const answers = await Promise.all([
      api.post(people.admin, '/labs', { name: 'Too late', kind: 'partner' }),
      api.get(people.admin, '/log/entries'),
      api.get(people.lead, '/log/entries?from=x'),
      api.post(people.admin, '/orders', { selector: { all: true }, grounds: 'x' }),
    ]);
    for (const answer of answers) {
      expect([answer.status, answer.body.code]).toEqual([503, 'log_unavailable']);
      expect(answer.headers['retry-after']).toBe('1');
    }
    const token = await request(test.url)
      .post('/oauth/token')
      .type('form')
      .send(new URLSearchParams(form).toString());
    expect([token.status, token.body.error, token.body.code]).toEqual([
      503,
      'temporarily_unavailable',
      'log_unavailable',
    ]);
    expect(token.headers['retry-after']).toBe('1');
    expect(Date.now() - began).toBeLessThan(2_000);
    expect((await request(test.url).get('/readyz')).status).toBe(503);
    expect((await request(test.url).get('/healthz')).status).toBe(200);
  });
});
