/** Who learns what of an order: what it rests on, what another lab objects to, what a partner says to the host. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runAgenda } from '../../src/broker/run-agenda.ts';
import { Api } from '../support/api.ts';
import { grantInput, makeActiveGrant } from '../support/grants.ts';
import { makePeople, makePerson, type People, type TestPerson } from '../support/people.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const DAY = 86_400_000;

const clock = new SetClock();
let test: TestBroker;
let people: People;
let second: TestPerson;
let api: Api;

beforeAll(async () => {
  test = await startTestBroker({ clock: clock.read });
  people = await makePeople(test);
  second = await makePerson(test.broker, people.admin.id, people.host.id, 'Sue Safety', ['safety']);
  api = new Api(test);
});
afterAll(() => test.close());

const asOther = (): People => ({
  ...people,
  partner: people.otherPartner,
  lead: people.otherLead,
  researcher: people.otherResearcher,
});

const makeGrant = (whose = people) => {
  const at = (ms: number): string => new Date(clock.now + ms).toISOString();
  return makeActiveGrant(test, whose, { window: { from: at(-DAY), until: at(60 * DAY) } });
};

const issue = async (order: object, who: TestPerson = people.safety): Promise<string> => {
  const answer = await api.post(who, '/orders?confirmed=true', { grounds: 'Look', ...order });
  expect(answer.status).toBe(201);
  return (answer.body as { id: string }).id;
};

/** All that somebody can read of an order: itself, its entries, its notices. */
async function readBy(who: TestPerson, id: string): Promise<string> {
  const answers = await Promise.all([
    api.get(who, `/orders/${id}`),
    api.get(who, `/log/entries?ref=${id}&limit=200`),
    api.get(who, `/notices?ref=${id}&limit=200`),
  ]);
  return answers.map(({ body }) => JSON.stringify(body)).join('\n');
}

describe('what an order rests on', () => {
  it('reaches no partner, whether it was said at once or later', async () => {
    const grant = await makeGrant();
    const evidence = { class: 'reproduced', text: 'RESTS-ON-THIS' };
    const id = await issue({
      level: 3,
      selector: { grant: grant.id, purpose: 'scheming' },
      evidence,
    });
    await api.post(people.safety, `/orders/${id}/supplement`, {
      evidence: { class: 'written', text: 'AND-ON-THAT' },
    });
    const lowered = await api.post(second, `/orders/${id}/lower`, {
      level: 2,
      measures: { purposes: ['scheming'] },
      grounds: 'Less will do',
    });
    expect(lowered.status).toBe(200);
    for (const one of [id, (lowered.body as { id: string }).id]) {
      expect(await readBy(people.lead, one)).not.toMatch(/RESTS-ON-THIS|AND-ON-THAT/);
      expect(await readBy(people.lead, one)).toContain(one);
      expect(await readBy(people.auditor, one)).toContain('AND-ON-THAT');
    }
    expect(await readBy(people.auditor, id)).toContain('RESTS-ON-THIS');
  });
});

describe('a grant that was only asked for', () => {
  it('gives nobody a part in an order about what it asks for', async () => {
    const input = grantInput(asOther());
    const drafted = await api.post(people.otherLead, '/grants', input);
    expect(drafted.status).toBe(201);
    await makeGrant();
    const id = await issue({ level: 3, selector: { model: 'model-a-1' }, grounds: 'ABOUT-A-LAB' });
    expect(await readBy(people.otherLead, id)).not.toContain('ABOUT-A-LAB');
    const objects = await api.post(people.otherLead, `/orders/${id}/object`, { grounds: 'No' });
    expect(objects.body).toMatchObject({ code: 'not_found' });
    expect(await readBy(people.lead, id)).toContain('ABOUT-A-LAB');
    await api.post(second, `/orders/${id}/lift`, { grounds: 'Done' });
  });
});

describe('an objection', () => {
  it.each(['affirmed', 'vacated', 'modified'])(
    'that is %s: between that lab and the host',
    async (outcome) => {
      await makeGrant();
      await makeGrant(asOther());
      const id = await issue({ level: 4, selector: { model: 'model-a-1' } });
      const filed = await api.post(people.otherLead, `/orders/${id}/object`, {
        grounds: 'THEIR-OBJECTION',
        alternative: { level: 3 },
      });
      expect(filed.status).toBe(201);
      const decided = await api.post(second, `/disputes/${filed.body.id}/decide`, {
        outcome,
        grounds: 'OUR-ANSWER',
      });
      expect(decided.body).toMatchObject({ outcome });
      const { newOrderId } = decided.body as { newOrderId: string | null };
      const seen = await Promise.all([id, newOrderId ?? id].map((one) => readBy(people.lead, one)));
      expect(seen.join('\n')).not.toMatch(/THEIR-OBJECTION|OUR-ANSWER/);
      expect(await readBy(people.otherLead, id)).toMatch(/THEIR-OBJECTION/);
      expect(await readBy(people.otherLead, id)).toMatch(/OUR-ANSWER/);
      await api.post(second, `/orders/${newOrderId ?? id}/lift`, { grounds: 'Done' });
    },
  );

  it('is not decided by whoever filed it', async () => {
    const order = { level: 3, selector: { person: people.researcher.id } };
    const officer = await makePerson(
      test.broker,
      people.admin.id,
      people.partner.id,
      'Pia Safety',
      ['safety', 'lead'],
    );
    const other = await makePerson(test.broker, people.admin.id, people.partner.id, 'Pit Safety', [
      'safety',
    ]);
    const id = await issue(order, other);
    const filed = await api.post(officer, `/orders/${id}/object`, { grounds: 'No' });
    const decide = (who: TestPerson) =>
      api.post(who, `/disputes/${filed.body.id}/decide`, { outcome: 'vacated', grounds: 'Yes' });
    expect((await decide(officer)).body).toMatchObject({ code: 'second_person_needed' });
    await api.post(second, `/orders/${id}/lift`, { grounds: 'Done' });
  });

  it('keeps who has objected in sight of the order, and tells them that it is over', async () => {
    const grant = await makeGrant();
    const attribute = { name: 'export_status', is: ['restricted'], unknown: 'spared' };
    const set = (value: string | null) =>
      api.post(people.admin, `/people/${people.researcher.id}/attributes`, {
        attributes: { export_status: value === null ? null : { value } },
      });
    await set('restricted');
    const id = await issue({ level: 3, selector: { grant: grant.id, attributes: [attribute] } });
    const filed = await api.post(people.lead, `/orders/${id}/object`, { grounds: 'No' });
    expect(filed.body).toMatchObject({ outcome: null });
    await api.call(people.lead, 'delete', `/grants/${grant.id}/people/${people.researcher.id}`);
    expect((await api.get(people.lead, `/orders/${id}`)).status).toBe(200);
    clock.now += 4 * DAY;
    api = new Api(test);
    await runAgenda(test.broker);
    expect(await readBy(people.lead, id)).toContain('order.lapsed');
    await set(null);
  });
});

describe('what a partner says to the host', () => {
  it('reaches no lab that it names', async () => {
    const id = await issue(
      {
        level: 0,
        selector: { lab: people.otherPartner.id },
        grounds: 'ABOUT-ANOTHER-LAB',
        expiresAt: new Date(clock.now + DAY).toISOString(),
      },
      people.lead,
    );
    clock.now += 2 * DAY;
    api = new Api(test);
    await runAgenda(test.broker);
    expect(await readBy(people.otherLead, id)).not.toContain(id);
    expect(await readBy(people.lead, id)).toContain('ABOUT-ANOTHER-LAB');
    expect(await readBy(people.lead, id)).toContain('order.lapsed');
    expect(await readBy(people.auditor, id)).toContain('ABOUT-ANOTHER-LAB');
  });

  it('is bounded: a person has so many notices in force, and one more when one is lifted', async () => {
    const give = () =>
      api.post(people.researcher, '/orders', {
        level: 0,
        selector: { all: true },
        grounds: 'Hear',
      });
    const ids: string[] = [];
    let answer = await give();
    while (answer.status === 201 && ids.length < 100) {
      ids.push(answer.body.id);
      answer = await give();
    }
    expect(ids).toHaveLength(20);
    expect([answer.status, answer.body.code]).toEqual([409, 'too_many_notices']);
    // What the host's own people say is not bounded by it.
    const host = await api.post(people.auditor, '/orders', {
      level: 0,
      selector: { all: true },
      grounds: 'Hear',
    });
    expect(host.status).toBe(201);
    await api.post(second, `/orders/${ids[0]}/lift`, { grounds: 'Heard' });
    expect((await give()).status).toBe(201);
  });
});

describe('complying under objection', () => {
  const acknowledge = (id: string) => api.post(people.lead, `/orders/${id}/acknowledge`);
  const isUnderObjection = async (id: string): Promise<unknown> => {
    const { body } = await api.get(people.auditor, `/orders/${id}`);
    const list = (body as { acknowledgements: { underObjection: boolean }[] }).acknowledgements;
    return list.map(({ underObjection }) => underObjection);
  };

  it('shows, whether the objection came before or after notice was taken, and when it is decided', async () => {
    const grant = await makeGrant();
    const id = await issue({ level: 3, selector: { grant: grant.id, purpose: 'scheming' } });
    await acknowledge(id);
    expect(await isUnderObjection(id)).toEqual([false]);
    const filed = await api.post(people.researcher, `/orders/${id}/object`, { grounds: 'No' });
    expect(await isUnderObjection(id)).toEqual([true]);
    await api.post(second, `/disputes/${filed.body.id}/decide`, {
      outcome: 'affirmed',
      grounds: 'No',
    });
    await acknowledge(id);
    expect(await isUnderObjection(id)).toEqual([true]);
  });
});
