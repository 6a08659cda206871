/** Notices over the API: who reads what, who has taken note, and what becomes of their deliveries. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook as Verifier } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { NoticeDraft } from '../../src/core/notices.ts';
import { createLogger } from '../../src/lib/log.ts';
import { Api } from '../support/api.ts';
import {
  aDraft,
  answerWith,
  startReceiver,
  writeNotices,
  type Receiver,
} from '../support/notices.ts';
import { makePeople, makePerson, type People, type TestPerson } from '../support/people.ts';
import { scrape } from '../support/prometheus.ts';
import { eventually } from '../support/running-broker.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

describe('reading and acknowledging', () => {
  let test: TestBroker;
  let people: People;
  let partnerSafety: TestPerson;
  let executive: TestPerson;
  let api: Api;
  beforeAll(async () => {
    test = await startTestBroker();
    people = await makePeople(test);
    const { broker } = test;
    const { admin, partner, host, lead } = people;
    partnerSafety = await makePerson(broker, lead.id, partner.id, 'Pia Safety', ['safety']);
    executive = await makePerson(broker, admin.id, host.id, 'Eva Executive', ['executive']);
    api = new Api(test);
    write({ to: [{ labId: host.id }, { labId: partner.id }], title: 'to both' });
    write({ to: [{ labId: people.otherPartner.id }], title: 'to another partner' });
    write({ to: [{ labId: partner.id, personId: people.researcher.id }], title: 'to a person' });
    write({ to: [{ labId: host.id }, { labId: host.id }], title: 'once', kind: 'grant.ended' });
  });
  afterAll(() => test.close());

  let at = Date.now();
  const write = (draft: Partial<NoticeDraft>): void =>
    writeNotices(test.dataDir, [], aDraft({ ...draft, at: (at += 1) }));

  type Listed = { items: { id: string; title: string; unread: boolean }[]; next: string | null };
  const list = async (who: TestPerson, query = ''): Promise<Listed> => {
    const answer = await api.get(who, `/notices${query}`);
    expect(answer.status).toBe(200);
    return answer.body as Listed;
  };
  const titles = async (who: TestPerson, query = ''): Promise<string[]> =>
    (await list(who, query)).items.map(({ title }) => title);

  it('those who answer for the host, and auditor labs, get what is addressed to the host', async () => {
    const { admin, safety, auditor, outsideAuditor } = people;
    for (const who of [admin, safety, executive, auditor, outsideAuditor])
      expect(await titles(who)).toEqual(['once', 'to both']);
  });

  it("a partner's lead, safety officers and auditors get what is addressed to their lab", async () => {
    const { lead, partnerAuditor, otherLead } = people;
    for (const who of [lead, partnerSafety, partnerAuditor])
      expect(await titles(who)).toEqual(['to both']);
    expect(await titles(otherLead)).toEqual(['to another partner']);
  });

  it('a researcher gets what is addressed to them alone', async () => {
    expect(await titles(people.researcher)).toEqual(['to a person']);
    expect(await titles(people.secondResearcher)).toEqual([]);
  });

  it('is narrowed by kind, by what it is about, and by lab', async () => {
    const { admin, lead, partner, otherPartner } = people;
    expect(await titles(admin, '?kind=grant.ended')).toEqual(['once']);
    expect(await titles(admin, `?ref=grt_${'0'.repeat(26)}`)).toEqual([]);
    expect(await titles(admin, `?lab=${partner.id}`)).toEqual(['to a person', 'to both']);
    expect(await titles(lead, `?lab=${otherPartner.id}`)).toEqual([]);
    const wrong = await api.get(admin, '/notices?kind=grant.endde');
    expect(wrong.body).toMatchObject({ type: 'urn:sallyport:problem:invalid_request' });
  });

  it('comes in pages', async () => {
    const first = await list(people.admin, '?limit=1');
    const second = await list(people.admin, `?limit=1&cursor=${first.next}`);
    expect([first, second].flatMap(({ items }) => items.map(({ title }) => title))).toEqual([
      'once',
      'to both',
    ]);
    expect(second.next).toBeNull();
  });

  it('what is beyond their reach looks to people like what is not there', async () => {
    const { items } = await list(people.otherLead);
    const id = items[0]?.id ?? '';
    expect((await api.get(people.lead, `/notices/${id}`)).status).toBe(404);
    expect((await api.post(people.lead, `/notices/${id}/ack`)).status).toBe(404);
    expect((await api.get(people.admin, `/notices/${id}`)).status).toBe(200);
  });

  it('each person acknowledges for themselves, once, on record', async () => {
    const { lead, partner, admin } = people;
    write({ to: [{ labId: partner.id }], title: 'to be acknowledged' });
    const id = (await list(lead)).items[0]?.id ?? '';
    const first = await api.post(lead, `/notices/${id}/ack`);
    expect(first.body).toMatchObject({ unread: false, acknowledgedBy: [{ person: lead.id }] });
    const again = await api.post(lead, `/notices/${id}/ack`);
    expect(again.body).toEqual(first.body);
    expect(await titles(lead, '?unread=true')).toEqual(['to both']);
    expect(await titles(partnerSafety, '?unread=true')).toContain('to be acknowledged');
    await api.post(partnerSafety, `/notices/${id}/ack`);
    const seen = await api.get(admin, `/notices/${id}`);
    expect(seen.body).toMatchObject({
      acknowledgedBy: [{ person: lead.id }, { person: partnerSafety.id }],
      unread: true,
    });
    const entries = await api.get(admin, '/log/entries?kind=notice.acknowledged');
    expect(entries.body.items).toMatchObject([
      {
        entry: {
          ref: id,
          lab: partner.id,
          person: lead.id,
          data: { kind: 'order.issued', about: aDraft().ref, to: partner.id },
        },
      },
      { entry: { person: partnerSafety.id } },
    ]);
  });

  it('nobody acknowledges for another lab, or another person', async () => {
    const { admin, partner, host, safety } = people;
    const ofPartner = (await list(admin, `?lab=${partner.id}`)).items[0]?.id ?? '';
    const refused = await api.post(admin, `/notices/${ofPartner}/ack`);
    expect(refused.body).toMatchObject({ type: 'urn:sallyport:problem:notice_of_others' });
    write({ to: [{ labId: host.id, personId: safety.id }], title: 'to a safety officer' });
    const personal = (await list(admin)).items[0]?.id ?? '';
    expect((await api.post(admin, `/notices/${personal}/ack`)).status).toBe(403);
    expect((await api.post(safety, `/notices/${personal}/ack`)).status).toBe(200);
  });
});

/** Waits until something is so. */
async function until(look: () => Promise<boolean>): Promise<void> {
  await eventually(async () => {
    if (!(await look())) throw new Error('It has not come to that.');
  }, 15_000);
}

const DAY = 24 * 3_600_000;

interface SentNotice {
  type: string;
  data: { lab: string };
}

const CHANNELS = ['pager', 'siem'] as const;

describe('delivering', () => {
  let folder: string;
  let dataDir: string;
  let test: TestBroker;
  let people: People;
  let api: Api;
  let receivers: Record<(typeof CHANNELS)[number], Receiver>;
  let secrets: Record<(typeof CHANNELS)[number], string>;
  let logged: string;
  /** How far the broker's clock is ahead. */
  let ahead: number;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sallyport-notices-'));
    dataDir = join(folder, 'data');
    receivers = { pager: await startReceiver(), siem: await startReceiver() };
    const make = (name: string): string => {
      const secret = `whsec_${randomBytes(32).toString('base64')}`;
      writeFileSync(join(folder, name), secret, { mode: 0o600 });
      return secret;
    };
    secrets = { pager: make('pager'), siem: make('siem') };
    logged = '';
    ahead = 0;
    await start();
    people = await makePeople(test);
  });
  afterEach(async () => {
    await test.close();
    for (const name of CHANNELS) await receivers[name].close();
    rmSync(folder, { recursive: true, force: true });
  });

  const start = async (channels: readonly (typeof CHANNELS)[number][] = CHANNELS) => {
    test = await startTestBroker({
      dataDir,
      metrics: { port: 0 },
      log: createLogger({ level: 'trace' }, { write: (line) => (logged += line) }),
      clock: () => Date.now() + ahead,
      notices: {
        allowInsecureLoopback: true,
        webhooks: channels.map((id) => ({
          id,
          url: receivers[id].url,
          secret: `file:${join(folder, id)}`,
        })),
      },
    });
    api = new Api(test);
  };

  const write = (...titles: string[]): void =>
    writeNotices(
      dataDir,
      CHANNELS.map((id) => ({ id })),
      ...titles.map((title) => aDraft({ title, to: [{ labId: people.host.id }] })),
    );

  interface ListedDelivery {
    id: string;
    channel: string;
    state: string;
    attempts: number;
    failure: object | null;
  }
  const deliveries = async (query = ''): Promise<ListedDelivery[]> =>
    (await api.get(people.admin, `/deliveries${query}`)).body.items as ListedDelivery[];
  const untilAll = (state: string, query = ''): Promise<void> =>
    until(async () => (await deliveries(query)).every((one) => one.state === state));

  it('goes out once through each channel, signed with the secret of that channel', async () => {
    write('one', 'two');
    for (const name of CHANNELS) {
      await receivers[name].count(2);
      for (const { body, headers } of receivers[name].received)
        expect(new Verifier(secrets[name]).verify(body, headers)).toMatchObject({
          type: 'order.issued',
          data: { broker: test.url, lab: people.host.id },
        });
    }
    await untilAll('delivered');
    expect(await deliveries()).toHaveLength(4);
    const metrics = await scrape(test.metricsUrl);
    const labels = { channel: 'pager', result: 'delivered' };
    expect(metrics.value('sallyport_notice_deliveries_total', labels)).toBe(2);
    expect(metrics.value('sallyport_notice_deliveries_waiting')).toBe(0);
    for (const name of CHANNELS) expect(receivers[name].received).toHaveLength(2);
  });

  it('what an order and a grant tell goes out by itself, and leaves no trace after a month', async () => {
    const evidence = { class: 'reported', text: 'canary-evidence-4a8a08f0' };
    const order = { selector: { lab: people.partner.id }, grounds: 'A test', evidence };
    const issued = await api.post(people.safety, '/orders', order);
    expect(issued.status).toBe(201);
    // Without a lab of its own, a channel is the host's.
    await receivers.pager.count(1);
    const sent = receivers.pager.received.map(({ body }) => JSON.parse(body) as SentNotice);
    expect(sent.map(({ type, data }) => [type, data.lab])).toEqual([
      ['order.issued', people.host.id],
    ]);
    // What an order rests on stays with those who may read it.
    expect(receivers.pager.received.some(({ body }) => body.includes('canary-evidence'))).toBe(
      false,
    );
    await untilAll('delivered');
    await test.broker.store.write('forgetDelivered', { now: Date.now() + 29 * DAY });
    expect(await deliveries()).toHaveLength(2);
    await test.broker.store.write('forgetDelivered', { now: Date.now() + 31 * DAY });
    expect(await deliveries()).toEqual([]);
    expect((await api.get(people.admin, '/notices')).body.items).not.toEqual([]);
  });

  it('to a receiver that is down arrives when it is up again, with the same id', async () => {
    const { port } = new URL(receivers.pager.url);
    receivers.pager.respond(answerWith(503));
    write('for later');
    await receivers.pager.count(1);
    await until(async () => (await deliveries('?channel=pager'))[0]?.attempts === 1);
    expect(await deliveries('?channel=pager')).toMatchObject([
      { state: 'pending', failure: { code: 'refused', status: 503 } },
    ]);
    const [first] = receivers.pager.received;
    await receivers.pager.close();
    ahead += 5_100;
    await until(async () => (await deliveries('?channel=pager'))[0]?.attempts === 2);
    expect(await deliveries('?channel=pager')).toMatchObject([
      { failure: { code: 'unreachable', status: null } },
    ]);
    receivers.pager = await startReceiver(Number(port));
    ahead += 15_100;
    await receivers.pager.count(1);
    await untilAll('delivered');
    const [later] = receivers.pager.received;
    expect(later?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    expect(later?.body).toBe(first?.body);
    expect(
      new Verifier(secrets.pager).verify(later?.body ?? '', later?.headers ?? {}),
    ).toBeTruthy();
    expect(logged).toContain('notices do not arrive');
    await eventually(() => expect(logged).toContain('notices arrive again'));
  });

  it('that is dead is listed, on record, and can be replayed by those who run the host', async () => {
    receivers.pager.respond(answerWith(410));
    write('one', 'two');
    await until(async () => (await deliveries('?state=dead')).length === 2);
    const dead = await deliveries('?state=dead');
    expect(dead).toMatchObject([
      { channel: 'pager', attempts: 1, failure: { code: 'gone', status: 410 } },
      { channel: 'pager' },
    ]);
    const { admin, safety, auditor, lead } = people;
    const undelivered = await api.get(admin, '/log/entries?kind=notice.undelivered');
    expect(undelivered.body.items).toHaveLength(2);
    expect(undelivered.body.items[0]).toMatchObject({
      entry: {
        actor: { system: 'broker' },
        data: { channel: 'pager', kind: 'order.issued', failure: 'gone', status: 410 },
      },
    });
    const metrics = await scrape(test.metricsUrl);
    expect(metrics.value('sallyport_notice_deliveries_dead')).toBe(2);

    for (const who of [auditor, lead]) {
      expect((await api.get(who, '/deliveries')).status).toBe(403);
      expect((await api.post(who, '/deliveries/replay', { channel: 'pager' })).status).toBe(403);
    }
    receivers.pager.respond(answerWith(200));
    const one = { deliveries: [dead[0]?.id] };
    const replayed = await api.post(admin, '/deliveries/replay', one);
    expect(replayed.body).toEqual({ replayed: [dead[0]?.id], more: false });
    await until(async () => (await deliveries('?state=dead')).length === 1);
    expect((await api.post(admin, '/deliveries/replay', one)).status).toBe(404);
    const rest = await api.post(safety, '/deliveries/replay', { channel: 'pager' });
    expect(rest.body).toEqual({ replayed: [dead[1]?.id], more: false });
    await untilAll('delivered');
    await receivers.pager.count(4);
    const ids = receivers.pager.received.map(({ headers }) => headers['webhook-id']);
    expect(new Set(ids).size).toBe(2);
    const entries = await api.get(admin, '/log/entries?kind=notice.replayed');
    expect(entries.body.items).toMatchObject([
      { entry: { actor: { person: admin.id }, data: { deliveries: [dead[0]?.id] } } },
      {
        entry: {
          actor: { person: safety.id },
          data: { channel: 'pager', deliveries: [dead[1]?.id] },
        },
      },
    ]);
  });

  it('through a channel that the configuration has no more is given up, until that is back', async () => {
    write('kept');
    // Written before the broker has looked, or delivered: either way it is to go out once more.
    await untilAll('delivered');
    await test.close();
    write('for a channel that goes');
    await start(['siem']);
    await until(async () => (await deliveries('?state=dead')).length === 1);
    expect(await deliveries('?state=dead')).toMatchObject([
      { channel: 'pager', failure: { code: 'channel_removed' } },
    ]);
    const refused = await api.post(people.admin, '/deliveries/replay', { channel: 'pager' });
    expect(refused.body).toMatchObject({ type: 'urn:sallyport:problem:invalid_request' });
    await test.close();
    await start();
    await api.post(people.admin, '/deliveries/replay', { channel: 'pager' });
    await untilAll('delivered');
  });

  it('a receiver that hangs holds up neither the others nor an order, nor the end of the broker', async () => {
    receivers.pager.respond(() => undefined);
    const many = Array.from({ length: 30 }, (_, i) => `number ${i}`);
    write(...many);
    await receivers.pager.count(4);
    await receivers.siem.count(many.length);
    await untilAll('delivered', '?channel=siem');
    expect(receivers.pager.received).toHaveLength(4);
    const began = performance.now();
    const order = { selector: { all: true }, grounds: 'A test' };
    expect((await api.post(people.safety, '/orders?confirmed=true', order)).status).toBe(201);
    expect(performance.now() - began).toBeLessThan(1_000);
    const stopping = performance.now();
    await test.close();
    expect(performance.now() - stopping).toBeLessThan(2_000);
    receivers.pager.respond(answerWith(200));
    await start();
    await receivers.pager.count(4 + many.length);
    await untilAll('delivered');
  });

  it('invariant 7: a secret of a channel is in nothing that the broker keeps, prints or answers', async () => {
    receivers.siem.respond(answerWith(410));
    receivers.pager.respond(answerWith(500));
    write('one');
    await until(async () => (await deliveries('?state=dead')).length === 1);
    await until(async () => (await deliveries('?channel=pager'))[0]?.attempts === 1);
    // What is no secret of a webhook is quoted nowhere either.
    writeFileSync(join(folder, 'pager'), `whsec_canary-${secrets.pager.slice(6)}`);
    ahead += 5_100;
    await until(async () => (await deliveries('?channel=pager'))[0]?.attempts === 2);
    expect(await deliveries('?channel=pager')).toMatchObject([
      { failure: { code: 'secret_unusable' } },
    ]);
    const answers = [
      await api.get(people.admin, '/deliveries'),
      await api.get(people.admin, '/notices'),
      await api.get(people.admin, '/log/entries'),
    ].map(({ text }) => text);
    const metrics = await (await fetch(`${test.metricsUrl}/metrics`)).text();
    const kept = readdirSync(dataDir, { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile())
      .map((file) => readFileSync(join(file.parentPath, file.name), 'latin1'));
    expect(logged).toContain('pager');
    for (const secret of Object.values(secrets)) {
      const bare = secret.slice('whsec_'.length);
      const raw = Buffer.from(bare, 'base64').toString('latin1');
      for (const sink of [...answers, metrics, logged, ...kept]) {
        expect(sink.includes(bare)).toBe(false);
        expect(sink.includes(raw)).toBe(false);
      }
    }
  });
});
