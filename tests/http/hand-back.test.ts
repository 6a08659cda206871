/** Handing back a run, or a person's access: who may, what ends, and that it ends at once and for good. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Grant } from '../../src/core/grants.ts';
import { grantInput } from '../support/grants.ts';
import { getToken, type People, type TestPerson } from '../support/people.ts';
import {
  HELLO,
  codeOf,
  errorOf,
  sdks,
  startRunningBroker,
  windowThatEnds,
  type Access,
  type ApiError,
  type RunningBroker,
} from '../support/running-broker.ts';
import { hold, openaiJson } from '../support/scripted-upstream.ts';

/** How long after the acknowledgement a stream may go on. */
const BITE_MS = 250;

let running: RunningBroker;
let people: People;

beforeAll(async () => {
  running = await startRunningBroker();
  people = running.people;
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

/** A token for a run of its own name, or of one that is shared. */
async function accessTo(grant: Grant, person: TestPerson, run = 'test'): Promise<Access> {
  const token = await getToken(running.test, person, {
    grant: grant.id,
    purpose: 'hallucination',
    run,
  });
  return { grant, person, token, ...sdks(running.url, token) };
}

const post = (who: TestPerson, path: string, body?: object) => running.api.post(who, path, body);

const handBack = (who: TestPerson, person: TestPerson, grant?: Grant) =>
  post(who, `/people/${person.id}/hand-back`, grant ? { grant: grant.id } : {});

const passes = async (access: Access): Promise<boolean> => {
  running.upstream.respond(openaiJson());
  return access.openai.chat.completions.create(HELLO).then(
    () => true,
    (error: ApiError) => {
      expect(codeOf(error)).toBe('token_revoked');
      return false;
    },
  );
};

async function runIdOf(access: Access): Promise<string> {
  const list = await running.api.get(people.lead, `/runs?grant=${access.grant.id}`);
  const runs = list.body.items as { id: string; name: string }[];
  expect(runs).toHaveLength(1);
  return runs[0]?.id ?? '';
}

/** Begins a stream that the upstream holds. Resolves with how it ends, once its first event is there. */
async function openStream({ openai }: Access): Promise<{
  ending: Promise<{ code: string | undefined; at: number }>;
  isOver(): boolean;
}> {
  const stream = await openai.chat.completions.create({ ...HELLO, stream: true });
  const events = stream[Symbol.asyncIterator]();
  await events.next();
  let over = false;
  const ending = (async () => {
    try {
      for (;;) if ((await events.next()).done) return { code: undefined, at: performance.now() };
    } catch (error) {
      return { code: codeOf(error as ApiError), at: performance.now() };
    } finally {
      over = true;
    }
  })();
  return { ending, isOver: () => over };
}

/** Two people with a token each, of a run that the first of them began. */
async function sharedRun(): Promise<{
  first: Access;
  second: Access;
  runId: string;
  outsider: TestPerson;
}> {
  const [starter, other, outsider] = [
    await running.newResearcher(),
    await running.newResearcher(),
    await running.newResearcher(),
  ];
  const grant = await running.grant({}, [starter, other, outsider]);
  const first = await accessTo(grant, starter, 'shared');
  const second = await accessTo(grant, other, 'shared');
  return { first, second, runId: await runIdOf(first), outsider };
}

describe('a run', () => {
  it.each<[string, (people: People) => TestPerson]>([
    ['an admin of the host', ({ admin }) => admin],
    ['a safety officer', ({ safety }) => safety],
    ['the lead', ({ lead }) => lead],
  ])('is ended whole by %s', async (_who, pick) => {
    const { first, second, runId } = await sharedRun();
    const answer = await post(pick(people), `/runs/${runId}/end`);
    expect(answer.body).toEqual({
      id: runId,
      endedAt: expect.stringMatching(/Z$/) as string,
      ended: 2,
      cut: 0,
    });
    expect([await passes(first), await passes(second)]).toEqual([false, false]);
  });

  it('is ended whole by whoever began it, takes no token any more, and stands in the log', async () => {
    const { first, second, runId } = await sharedRun();
    const answer = await post(first.person, `/runs/${runId}/end`);
    expect(answer.body).toMatchObject({ ended: 2, endedAt: expect.any(String) as string });
    for (const { person } of [first, second])
      await expect(accessTo(first.grant, person, 'shared')).rejects.toThrow('run_ended');
    // Other work under the same grant goes on.
    expect(await passes(await accessTo(first.grant, first.person, 'another'))).toBe(true);
    expect(running.entries({ ref: runId })).toMatchObject([
      {
        kind: 'run.ended',
        actor: { person: first.person.id },
        person: first.person.id,
        grant: first.grant.id,
        run: runId,
        data: { runName: 'shared', tokensEnded: 2 },
      },
    ]);
    const again = await post(first.person, `/runs/${runId}/end`);
    expect(again.body).toEqual({ ...answer.body, ended: 0 });
    expect(running.entries({ ref: runId })).toHaveLength(1);
  });

  it('goes on when somebody hands back their part in it, who did not begin it', async () => {
    const { first, second, runId } = await sharedRun();
    const answer = await post(second.person, `/runs/${runId}/end`);
    expect(answer.body).toEqual({ id: runId, endedAt: null, ended: 1, cut: 0 });
    expect([await passes(first), await passes(second)]).toEqual([true, false]);
    expect(running.entries({ ref: runId })).toMatchObject([
      {
        kind: 'tokens.revoked',
        person: second.person.id,
        data: { selection: { run: runId, person: second.person.id }, tokensEnded: 1 },
      },
    ]);
    expect(await passes(await accessTo(first.grant, second.person, 'shared'))).toBe(true);
  });

  it('is nothing to anybody else', async () => {
    const { first, runId, outsider } = await sharedRun();
    const { otherLead, otherResearcher, partnerAuditor, auditor, outsideAuditor } = people;
    for (const who of [
      outsider,
      otherLead,
      otherResearcher,
      partnerAuditor,
      auditor,
      outsideAuditor,
    ]) {
      const answer = await post(who, `/runs/${runId}/end`);
      expect([who.name, answer.status, answer.body.code]).toEqual([who.name, 404, 'not_found']);
    }
    expect(await passes(first)).toBe(true);
  });

  it('cuts its streams, says how many, and leaves those of other runs alone', async () => {
    const { first, second, runId } = await sharedRun();
    const spared = await accessTo(first.grant, first.person, 'another');
    const held = hold();
    running.upstream.respond(held);
    const hit = [await openStream(first), await openStream(second)];
    const bystander = await openStream(spared);
    const answer = await post(first.person, `/runs/${runId}/end`);
    const acknowledged = performance.now();
    expect(answer.body).toMatchObject({ ended: 2, cut: 2 });
    for (const { code, at } of await Promise.all(hit.map(({ ending }) => ending))) {
      expect(code).toBe('token_revoked');
      expect(at - acknowledged).toBeLessThan(BITE_MS);
    }
    expect(bystander.isOver()).toBe(false);
    held.release();
    expect((await bystander.ending).code).toBeUndefined();
  });
});

describe('the access of a person', () => {
  it.each<[string, (people: People, holder: TestPerson) => TestPerson, number, string | undefined]>(
    [
      ['themselves', (_, holder) => holder, 200, undefined],
      ['their lead', ({ lead }) => lead, 200, undefined],
      ['a colleague', ({ researcher }) => researcher, 404, 'not_found'],
      ["their lab's auditor", ({ partnerAuditor }) => partnerAuditor, 404, 'not_found'],
      ['the lead of another lab', ({ otherLead }) => otherLead, 404, 'not_found'],
      ['a researcher of another lab', ({ otherResearcher }) => otherResearcher, 404, 'not_found'],
      ['an admin of the host', ({ admin }) => admin, 403, 'role_required'],
      ['a safety officer', ({ safety }) => safety, 403, 'role_required'],
      ['an auditor of the host', ({ auditor }) => auditor, 403, 'role_required'],
      ['an auditor from outside', ({ outsideAuditor }) => outsideAuditor, 403, 'role_required'],
    ],
  )('handed back by %s', async (_who, pick, status, code) => {
    const holder = await running.newResearcher();
    const access = await running.access({}, holder);
    const answer = await handBack(pick(people, holder), holder, access.grant);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(await passes(access)).toBe(status !== 200);
  });

  it('ends under one grant for good, and under no other', async () => {
    const holder = await running.newResearcher();
    const [kept, given] = [await running.access({}, holder), await running.access({}, holder)];
    const colleague = await accessTo(
      await running.grant({}, [holder, people.researcher]),
      people.researcher,
    );
    const answer = await handBack(holder, holder, given.grant);
    expect(answer.body).toEqual({
      personId: holder.id,
      grants: [given.grant.id],
      ended: 1,
      cut: 0,
    });
    expect([await passes(given), await passes(kept), await passes(colleague)]).toEqual([
      false,
      true,
      true,
    ]);
    await expect(accessTo(given.grant, holder)).rejects.toThrow('access_handed_back');
    expect(await passes(await accessTo(kept.grant, holder, 'more'))).toBe(true);
    expect(running.entries({ kind: 'access.handed_back', ref: holder.id })).toMatchObject([
      {
        actor: { person: holder.id },
        lab: people.partner.id,
        person: holder.id,
        grant: given.grant.id,
        data: { everything: false, tokensEnded: 1 },
      },
    ]);
    // The lead's own place is as it was.
    expect(await passes(await accessTo(given.grant, people.lead))).toBe(true);
  });

  it('ends whole: every place, every token, the one that says so included', async () => {
    const holder = await running.newResearcher();
    const accesses = [await running.access({}, holder), await running.access({}, holder)];
    const draft = await post(
      people.lead,
      '/grants',
      grantInput(people, { people: [{ person: holder.id }] }),
    );
    const revoked = await running.grant({}, [holder]);
    await post(people.admin, `/grants/${revoked.id}/revoke`, { grounds: 'Test' });
    const control = await running.api.tokenOf(holder);
    const answer = await handBack(holder, holder);
    const grants = [...accesses.map(({ grant }) => grant.id), draft.body.id as string];
    expect(answer.body).toMatchObject({ personId: holder.id, ended: 3 });
    expect(new Set(answer.body.grants as string[])).toEqual(new Set(grants));
    for (const access of accesses) {
      expect(await passes(access)).toBe(false);
      await expect(accessTo(access.grant, holder)).rejects.toThrow('access_handed_back');
    }
    const me = await fetch(`${running.url}/api/v1/me`, {
      headers: { authorization: `Bearer ${control}` },
    });
    expect([me.status, await me.json()]).toMatchObject([401, { code: 'token_revoked' }]);
    // Whoever looks at a grant finds there what ended under it.
    for (const [grant, tokensEnded] of grants.map((id, i) => [id, i < 2 ? 1 : 0] as const)) {
      const data = { everything: true, tokensEnded };
      expect(running.entries({ kind: 'access.handed_back', grant })).toMatchObject([
        { actor: { person: holder.id }, ref: holder.id, person: holder.id, data },
      ]);
      const found = await running.api.get(
        people.auditor,
        `/log/entries?grant=${grant}&kind=access.handed_back`,
      );
      expect(found.body.items).toHaveLength(1);
    }
    const all = running.entries({ kind: 'access.handed_back', ref: holder.id });
    expect(all).toHaveLength(grants.length + 1);
    expect(all.at(-1)?.data).toEqual({ everything: true, tokensEnded: 1 });
    // A grant that was not approved yet has no place for them either, when it comes to that.
    const shown = await running.api.get(people.lead, `/grants/${draft.body.id as string}`);
    expect(shown.body.leavers).toEqual([holder.id]);
  });

  it('is not given back by naming the person again', async () => {
    const holder = await running.newResearcher();
    const input = grantInput(people, {
      people: [{ person: people.lead.id }, { person: holder.id }],
    });
    const draft = await post(people.lead, '/grants', input);
    const id = draft.body.id as string;
    expect((await handBack(people.lead, holder)).body.grants).toEqual([id]);
    await running.api.call(people.lead, 'put', `/grants/${id}`, { ...input, title: 'Again' });
    await post(people.lead, `/grants/${id}/submit`);
    for (const who of [people.admin, people.safety]) await post(who, `/grants/${id}/approve`);
    const { termsDigest } = draft.body as { termsDigest: string };
    await post(people.lead, `/grants/${id}/accept`, { termsDigest });
    const accepted = await post(holder, `/grants/${id}/accept`, { termsDigest });
    expect([accepted.status, accepted.body.code]).toEqual([403, 'person_not_on_grant']);
    await expect(accessTo({ id } as Grant, holder)).rejects.toThrow('access_handed_back');
  });

  it('can be handed back twice, to the same effect', async () => {
    const holder = await running.newResearcher();
    const { grant } = await running.access({}, holder);
    await handBack(people.lead, holder, grant);
    const nothing = { personId: holder.id, grants: [], ended: 0, cut: 0 };
    expect((await handBack(people.lead, holder, grant)).body).toEqual(nothing);
    expect((await handBack(people.lead, holder)).body).toEqual(nothing);
    expect(running.entries({ kind: 'access.handed_back', ref: holder.id })).toHaveLength(1);
  });

  it('is refused where there is none: not on the roster, not of the lab, not there', async () => {
    const holder = await running.newResearcher();
    const without = await running.grant();
    const other = await running.grant({}, [people.otherResearcher]);
    const none = { id: `grt_${'0'.repeat(26)}` } as Grant;
    for (const [grant, status, code] of [
      [without, 403, 'person_not_on_grant'],
      [other, 404, 'not_found'],
      [none, 404, 'not_found'],
    ] as const) {
      const answer = await handBack(holder, holder, grant);
      expect([answer.status, answer.body.code]).toEqual([status, code]);
    }
  });

  it('cuts the streams under it at once, and no others', async () => {
    const holder = await running.newResearcher();
    const [kept, given] = [await running.access({}, holder), await running.access({}, holder)];
    const colleague = await running.newResearcher();
    const shared = await running.grant({}, [holder, colleague]);
    const [own, theirs] = [await accessTo(shared, holder), await accessTo(shared, colleague)];
    const held = hold();
    running.upstream.respond(held);
    const hit = [await openStream(given), await openStream(given)];
    const spared = [await openStream(kept), await openStream(own), await openStream(theirs)];
    const one = await handBack(holder, holder, given.grant);
    const acknowledged = performance.now();
    expect(one.body).toMatchObject({ ended: 1, cut: 2 });
    for (const { code, at } of await Promise.all(hit.map(({ ending }) => ending))) {
      expect(code).toBe('token_revoked');
      expect(at - acknowledged).toBeLessThan(BITE_MS);
    }
    expect(spared.map((stream) => stream.isOver())).toEqual([false, false, false]);
    const all = await handBack(holder, holder);
    const later = performance.now();
    expect(all.body).toMatchObject({ ended: 3, cut: 2 });
    for (const { at } of await Promise.all(spared.slice(0, 2).map(({ ending }) => ending)))
      expect(at - later).toBeLessThan(BITE_MS);
    expect(spared[2]?.isOver()).toBe(false);
    held.release();
    expect((await spared[2]?.ending)?.code).toBeUndefined();
  });

  it('counts no request that an order had cut before', async () => {
    const holder = await running.newResearcher();
    const access = await running.access({}, holder);
    running.upstream.respond(hold());
    const stream = await openStream(access);
    const order = await post(people.safety, '/orders', {
      selector: { grant: access.grant.id },
      grounds: 'Test',
    });
    expect((await stream.ending).code).toBe('grant_suspended');
    expect((await handBack(holder, holder, access.grant)).body).toMatchObject({ ended: 1, cut: 0 });
    await post(people.admin, `/orders/${order.body.id as string}/lift`, { grounds: 'Test' });
  });

  it('leaves no token to whoever asks for one at the same moment', async () => {
    const holder = await running.newResearcher();
    const grant = await running.grant({}, [holder]);
    await running.api.tokenOf(holder);
    const ask = (): Promise<Access | string> =>
      accessTo(grant, holder).catch((error: Error) => error.message);
    const asked = Array.from({ length: 30 }, ask);
    await Promise.race(asked);
    await handBack(holder, holder, grant);
    asked.push(ask());
    const outcomes = await Promise.all(
      asked.map(async (one) => {
        const got = await one;
        if (typeof got === 'string') return /access_handed_back/.exec(got)?.[0] ?? got;
        return (await passes(got)) ? 'passes' : 'ended';
      }),
    );
    expect([...new Set(outcomes)].sort()).toEqual(['access_handed_back', 'ended']);
  });
});

describe('two grants of one person that end at different times', () => {
  it('the end of one never touches the tokens and streams of the other', async () => {
    const holder = await running.newResearcher();
    const short = await running.access({ window: windowThatEnds().window }, holder);
    const long = await running.access({}, holder);
    const held = hold();
    running.upstream.respond(held);
    const [ending, lasting] = [await openStream(short), await openStream(long)];
    expect((await ending.ending).code).toBe('grant_expired');
    expect(lasting.isOver()).toBe(false);
    // Handing everything back passes over what has ended by itself.
    const error = await errorOf(short.openai.chat.completions.create(HELLO));
    expect(codeOf(error)).toBe('token_expired');
    const answer = await handBack(holder, holder);
    expect(answer.body).toMatchObject({ grants: [long.grant.id], cut: 1 });
    expect((await lasting.ending).code).toBe('token_revoked');
    held.release();
  });
});
