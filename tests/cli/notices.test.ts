/** The commands for notices, against a real broker. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { saveProfile } from '../../src/cli/profiles.ts';
import { saveKeyFile } from '../../src/lib/key-file.ts';
import { aDraft, writeNotices } from '../support/notices.ts';
import { makePeople, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { SENTENCE, newCli } from './run-cli.ts';

let test: TestBroker;
let people: People;
const cli = newCli();

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
  for (const name of ['admin', 'lead', 'auditor'] as const) {
    const key = join(cli.folder, `${name}.pem`);
    saveKeyFile(key, people[name].privateKey);
    const { url } = test;
    saveProfile(cli.env, name, { url, issuer: url, person: people[name].id, key });
  }
  // Of a channel that the configuration does not have: the delivery dies at once.
  const to = [{ labId: people.host.id }, { labId: people.partner.id }];
  writeNotices(test.dataDir, [{ id: 'gone' }], aDraft({ title: 'Look\u001b[2J here.', to }));
});
afterAll(async () => {
  await test?.close();
  cli.remove();
});

const as = async (who: string, ...args: string[]): Promise<string> => {
  const { code, out, err } = await cli.run('notice', ...args, '--profile', who);
  if (code !== 0) throw new Error(`"${args.join(' ')}" ended with ${code}: ${err}`);
  return out;
};
const noticeId = async (who: string): Promise<string> =>
  /^ntc_\w+/m.exec(await as(who, 'list'))?.[0] ?? '';

describe('notice list, show and ack', () => {
  it('shows what is new, and whose it is; nothing in it acts on the terminal', async () => {
    const list = await as('lead', 'list', '--unread', '--kind', 'order.issued');
    expect(list).toMatch(/^ntc_\w+ +\S+Z +order\.issued +ord_0+ +unread +Look.*here\.$/m);
    expect(list).not.toContain('\u001b');
    const shown = await as('lead', 'show', await noticeId('lead'));
    expect(shown).toMatch(/^acknowledged +by nobody$/m);
    expect(shown).toMatch(/^level +4$/m);
  });

  it('acknowledges in the name of whoever calls, and then it is not new any more', async () => {
    const id = await noticeId('lead');
    const acknowledged = await as('lead', 'ack', id);
    expect(acknowledged).toContain(people.lead.id);
    expect(await as('lead', 'list', '--unread')).toBe('');
    expect(await as('admin', 'list', '--lab', people.partner.id)).toContain(id);
    const refused = await cli.run('notice', 'ack', id, '--profile', 'admin');
    expect(refused.code).not.toBe(0);
    expect(refused.err).toContain('addressed to somebody else');
  });
});

describe('notice deliveries and replay', () => {
  it('lists what was given up and why, and does not replay into a channel that is not there', async () => {
    let dead = '';
    while (!dead.includes('dlv_')) dead = await as('admin', 'deliveries', '--state', 'dead');
    expect(dead).toMatch(/^dlv_\w+ +order\.issued +gone +dead +1 .*channel_removed$/m);
    const id = /^dlv_\w+/m.exec(dead)?.[0] ?? '';
    const refused = await cli.run('notice', 'replay', id, '--profile', 'admin');
    expect(refused.err).toMatch(SENTENCE);
    expect(refused.err).toContain('no channel "gone"');
    expect(await as('admin', 'replay', '--channel', 'another')).toContain('0 deliveries');
  });

  it.each([[[]], [['--channel', 'gone', `dlv_${'0'.repeat(26)}`]]])(
    'takes deliveries or a channel, one of the two: %j',
    async (args) => {
      const { code, err } = await cli.run('notice', 'replay', ...args, '--profile', 'admin');
      expect(code).toBe(2);
      expect(err).toMatch(SENTENCE);
    },
  );

  it('is for those who run the host', async () => {
    const { code, err } = await cli.run('notice', 'deliveries', '--profile', 'auditor');
    expect(code).not.toBe(0);
    expect(err).toContain('admin or safety of the host lab');
  });
});
