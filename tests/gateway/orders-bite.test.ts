/** Orders, revocations and ends of grants bite at once (invariant 5): live streams, waiting and new requests. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout as delay } from 'node:timers/promises';
import * as anthropicSdk from '@anthropic-ai/sdk';
import * as openaiSdk from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { liftOrder } from '../../src/broker/issue-order.ts';
import type { TestPerson } from '../support/people.ts';
import {
  HELLO,
  MODEL,
  OTHER_ENDPOINT_MODEL,
  SECOND_MODEL,
  codeOf,
  errorOf,
  post,
  say,
  startRunningBroker,
  windowThatEnds,
  type Access,
  type ApiError,
  type RunningBroker,
} from '../support/running-broker.ts';
import { hang, hold, openaiJson } from '../support/scripted-upstream.ts';

/** How long after the acknowledgement a stream in scope may go on. */
const BITE_MS = 250;

let running: RunningBroker;

beforeAll(async () => {
  running = await startRunningBroker();
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

/** How a stream ended, and when. */
interface Ending {
  error: ApiError | undefined;
  at: number;
}

interface LiveStream {
  /** Whether it has ended, one way or the other. */
  isOver(): boolean;
  ending: Promise<Ending>;
}

type Kind = 'openai' | 'anthropic';
const KINDS: Kind[] = ['openai', 'anthropic'];

/** Opens a stream with an SDK and resolves once its first event has arrived. */
async function openStream(access: Access, kind: Kind, model = MODEL): Promise<LiveStream> {
  const ask = { model, messages: [say('Count to 2000.')], stream: true as const, max_tokens: 100 };
  const stream: AsyncIterable<unknown> =
    kind === 'openai'
      ? await access.openai.chat.completions.create(ask)
      : await access.anthropic.messages.create(ask);
  let over = false;
  let begin = (): void => undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const ending = (async (): Promise<Ending> => {
    try {
      for await (const _ of stream) begin();
      return { error: undefined, at: performance.now() };
    } catch (error) {
      return { error: error as ApiError, at: performance.now() };
    } finally {
      over = true;
    }
  })();
  await Promise.race([begun, ending]);
  return { isOver: () => over, ending };
}

const openBoth = (access: Access, model?: string): Promise<LiveStream[]> =>
  Promise.all(KINDS.map((kind) => openStream(access, kind, model)));

const issue = async (selector: object): Promise<void> => {
  const answer = await running.api.post(running.people.safety, '/orders?confirmed=true', {
    selector,
    grounds: 'Test',
  });
  expect(answer.status).toBe(201);
  const { id } = answer.body as { id: string };
  lifts.push(id);
};

const lifts: string[] = [];
afterEach(async () => {
  for (const id of lifts.splice(0))
    await liftOrder(running.test.broker, running.people.admin.id, id, 'Test');
});

/** Who is hit, who is not, what is done, and what the hit ones are told. */
interface Scene {
  hit: Access;
  hitModel?: string;
  spared: Access | undefined;
  sparedModel?: string;
  act(): Promise<void>;
  code: string;
}

const tokenId = (access: Access): string =>
  (
    JSON.parse(Buffer.from(access.token.split('.')[1] ?? '', 'base64url').toString()) as {
      jti: string;
    }
  ).jti;

const control = async (
  who: TestPerson,
  method: 'post' | 'delete',
  path: string,
  body?: object,
): Promise<void> => {
  const answer = await running.api.call(who, method, path, body);
  expect(answer.status).toBeLessThan(300);
};

const SCENES: Record<string, () => Promise<Scene>> = {
  'an order on everything': async () => ({
    hit: await running.access(),
    spared: undefined,
    act: () => issue({ all: true }),
    code: 'access_suspended',
  }),
  'an order on a grant': async () => {
    const hit = await running.access();
    return {
      hit,
      spared: await running.access(),
      act: () => issue({ grant: hit.grant.id }),
      code: 'grant_suspended',
    };
  },
  'an order on a lab': async () => ({
    hit: await running.access(),
    spared: await running.access({}, running.people.otherResearcher),
    act: () => issue({ lab: running.people.partner.id }),
    code: 'lab_suspended',
  }),
  'an order on an endpoint': async () => {
    const hit = await running.access();
    return {
      hit,
      hitModel: OTHER_ENDPOINT_MODEL,
      spared: hit,
      act: () => issue({ endpoint: 'other' }),
      code: 'endpoint_suspended',
    };
  },
  'an order on a model': async () => {
    const hit = await running.access();
    return {
      hit,
      hitModel: SECOND_MODEL,
      spared: hit,
      act: () => issue({ model: SECOND_MODEL }),
      code: 'model_suspended',
    };
  },
  'an order on a person': async () => {
    const grant = await running.grant({}, [
      running.people.researcher,
      running.people.secondResearcher,
    ]);
    return {
      hit: await running.tokenFor(running.people.researcher, grant),
      spared: await running.tokenFor(running.people.secondResearcher, grant),
      act: () => issue({ person: running.people.researcher.id }),
      code: 'person_suspended',
    };
  },
  'the revocation of a token': async () => {
    const hit = await running.access();
    return {
      hit,
      spared: await running.tokenFor(hit.person, hit.grant),
      act: () => control(running.people.safety, 'post', `/tokens/${tokenId(hit)}/revoke`),
      code: 'token_revoked',
    };
  },
  'the revocation of a grant': async () => {
    const hit = await running.access();
    return {
      hit,
      spared: await running.access(),
      act: () =>
        control(running.people.admin, 'post', `/grants/${hit.grant.id}/revoke`, {
          grounds: 'Test',
        }),
      code: 'grant_revoked',
    };
  },
  'a grant that is handed back': async () => {
    const hit = await running.access();
    return {
      hit,
      spared: await running.access(),
      act: () => control(running.people.lead, 'post', `/grants/${hit.grant.id}/close`),
      code: 'grant_closed',
    };
  },
  'the removal of a person': async () => {
    const person = await running.newResearcher();
    const grant = await running.grant({}, [person, running.people.researcher]);
    return {
      hit: await running.tokenFor(person, grant),
      spared: await running.tokenFor(running.people.researcher, grant),
      act: () => control(running.people.admin, 'post', `/people/${person.id}/remove`),
      code: 'token_revoked',
    };
  },
  'the removal of a key': async () => {
    const person = await running.newResearcher();
    const grant = await running.grant({}, [person, running.people.researcher]);
    return {
      hit: await running.tokenFor(person, grant),
      spared: await running.tokenFor(running.people.researcher, grant),
      act: () =>
        control(running.people.safety, 'delete', `/people/${person.id}/keys/${person.kid}`),
      code: 'token_revoked',
    };
  },
};

describe('invariant 5: orders bite at once:', () => {
  it.each(Object.entries(SCENES))('%s', async (_, set) => {
    const scene = await set();
    const held = hold();
    running.upstream.respond(held);
    const hit = await openBoth(scene.hit, scene.hitModel);
    const spared = scene.spared ? await openBoth(scene.spared, scene.sparedModel) : [];
    // Two more are waiting for the upstream to begin.
    running.upstream.respond(hang());
    const before = running.upstream.requests.length;
    const waiting = KINDS.map((kind) =>
      errorOf(
        openStream(scene.hit, kind, scene.hitModel).then(() => {
          throw new Error('began');
        }),
      ),
    );
    await expect.poll(() => running.upstream.requests.length).toBe(before + 2);

    await scene.act();
    const acknowledged = performance.now();
    // New requests: refused from here on.
    const refused = await errorOf(
      scene.hit.openai.chat.completions.create({ ...HELLO, model: scene.hitModel ?? MODEL }),
    );
    expect(running.upstream.requests.length).toBe(before + 2);
    expect([401, 403]).toContain(refused.status);
    expect(codeOf(refused)).toBe(scene.code);

    const endings = await Promise.all(hit.map(({ ending }) => ending));
    for (const [i, { error, at }] of endings.entries()) {
      expect(error).toBeInstanceOf(
        KINDS[i] === 'openai' ? openaiSdk.APIError : anthropicSdk.APIError,
      );
      expect(codeOf(error as ApiError)).toBe(scene.code);
      expect(at - acknowledged).toBeLessThan(BITE_MS);
    }
    for (const error of await Promise.all(waiting))
      expect([error.status, codeOf(error)]).toEqual([
        scene.code === 'token_revoked' ? 401 : 403,
        scene.code,
      ]);

    // Whoever is not meant notices nothing.
    expect(spared.map((stream) => stream.isOver())).toEqual(spared.map(() => false));
    held.release();
    for (const { error } of await Promise.all(spared.map(({ ending }) => ending)))
      expect(error).toBeUndefined();
  });

  it("the end of the grant's window, which nobody has to announce", async () => {
    const { until, window } = windowThatEnds();
    const hit = await running.access({ window });
    const spared = await running.access();
    const held = hold();
    running.upstream.respond(held);
    const streams = await openBoth(hit);
    const bystanders = await openBoth(spared);
    const left = until - Date.now();
    const endsAt = performance.now() + left;
    expect(left).toBeGreaterThan(0);
    for (const { error, at } of await Promise.all(streams.map(({ ending }) => ending))) {
      expect(codeOf(error as ApiError)).toBe('grant_expired');
      expect(at - endsAt).toBeLessThan(BITE_MS);
      // Not before its time, either; clocks round.
      expect(at - endsAt).toBeGreaterThan(-5);
    }
    expect(bystanders.map((stream) => stream.isOver())).toEqual([false, false]);
    held.release();
    await Promise.all(bystanders.map(({ ending }) => ending));
  });
});

describe('an order', () => {
  it('says which requests it cut, and so does their outcome', async () => {
    const hit = await running.access();
    running.upstream.respond(hold());
    const [stream] = await openBoth(hit);
    const answer = await running.api.post(running.people.safety, '/orders?confirmed=true', {
      selector: { grant: hit.grant.id },
      grounds: 'Test',
    });
    const order = answer.body as { id: string; cut: { requestId: string }[] };
    lifts.push(order.id);
    expect(codeOf((await stream?.ending)?.error as ApiError)).toBe('grant_suspended');
    const intents = running.entries({ kind: 'request.intent', grant: hit.grant.id });
    expect(new Set(order.cut.map(({ requestId }) => requestId))).toEqual(
      new Set(intents.map(({ ref }) => ref)),
    );
    await expect
      .poll(() => running.entries({ kind: 'request.outcome', grant: hit.grant.id }))
      .toMatchObject([
        { reason: 'grant_suspended', orders: [order.id], data: { end: 'cut' } },
        { reason: 'grant_suspended', orders: [order.id], data: { end: 'cut' } },
      ]);
  });

  it('ends a stream without any sign of a clean end', async () => {
    const hit = await running.access();
    for (const path of ['/v1/chat/completions', '/v1/messages']) {
      running.upstream.respond(hold());
      const answer = await post(running.url + path, hit.token, {
        ...HELLO,
        max_tokens: 10,
        stream: true,
      });
      const text = answer.text();
      await issue({ grant: hit.grant.id });
      expect(await text).toMatch(/"code":"grant_suspended"[^\n]*\n\n$/);
      expect(await text).not.toMatch(/\[DONE\]|message_stop/);
      for (const id of lifts.splice(0))
        await liftOrder(running.test.broker, running.people.admin.id, id, 'Test');
    }
  });

  it('cuts what the client does not even read', async () => {
    const hit = await running.access();
    const index = running.upstream.requests.length;
    running.upstream.respond(
      hold({ chunks: Array.from({ length: 200 }, () => 'x'.repeat(65_536)) }),
    );
    const answer = await post(`${running.url}/v1/chat/completions`, hit.token, {
      ...HELLO,
      stream: true,
    });
    await issue({ grant: hit.grant.id });
    await running.upstream.waitForAbort(index);
    expect(await running.outcomeOf(hit.grant)).toMatchObject({ data: { end: 'cut' } });
    await answer.body?.cancel();
  });

  it('lets none of the requests through that are on their way when it is acknowledged', async () => {
    const sentAt: number[] = [];
    const onSent = (message: unknown): void => {
      const { origin } = (message as { request: { origin: string } }).request;
      if (origin === running.upstream.url) sentAt.push(performance.now());
    };
    // The moment at which undici writes a request to the upstream's socket.
    subscribe('undici:client:sendHeaders', onSent);
    running.upstream.respond(openaiJson());
    let refused = 0;
    for (let round = 0; round < 4; round += 1) {
      const hit = await running.access();
      const calls = Array.from({ length: 50 }, () =>
        post(`${running.url}/v1/chat/completions`, hit.token, HELLO).then(async (answer) => ({
          status: answer.status,
          code: ((await answer.json()) as { error?: { code: string } }).error?.code,
        })),
      );
      // Later in each round, so that it hits requests at every stage.
      await delay(round * 5);
      await issue({ grant: hit.grant.id });
      const acknowledged = performance.now();
      const answers = await Promise.all(calls);
      expect(sentAt.filter((at) => at > acknowledged)).toEqual([]);
      for (const { status, code } of answers) {
        if (status === 200) continue;
        refused += 1;
        expect([status, code]).toEqual([403, 'grant_suspended']);
      }
      // Every request that was admitted has its outcome, and nothing is left in reserve.
      await expect.poll(() => running.sums(hit.grant)?.requestsReserved ?? 0).toBe(0);
    }
    unsubscribe('undici:client:sendHeaders', onSent);
    expect(refused).toBeGreaterThan(0);
    expect(sentAt.length).toBeGreaterThan(0);
  });

  it('stops requests that were recorded in the same commit, just before it', async () => {
    running.upstream.respond(openaiJson());
    await running.api.tokenOf(running.people.safety);
    const { live } = running.test.broker;
    let stopped = 0;
    // On a slow machine the commit may have begun before the order came: then once more.
    for (let round = 0; round < 5 && stopped < 25; round += 1) {
      const hit = await running.access();
      const [requests, alive] = [running.upstream.requests.length, live.count];
      // While the log hangs, everything queues; then the rest goes into one commit, the order last.
      const release = running.lockLog();
      try {
        const calls = Array.from({ length: 50 }, () =>
          post(`${running.url}/v1/chat/completions`, hit.token, HELLO).then((answer) =>
            answer.text(),
          ),
        );
        await expect.poll(() => live.count, { interval: 1 }).toBeGreaterThan(alive + 40);
        const issued = issue({ grant: hit.grant.id });
        await delay(30);
        release();
        await issued;
        await Promise.all(calls);
      } finally {
        release();
      }
      // Where the log answered too late, what it took down is given back afterwards.
      await expect.poll(() => running.sums(hit.grant)?.requestsReserved ?? 0).toBe(0);
      const outcomes = running.entries({ kind: 'request.outcome', grant: hit.grant.id });
      const notForwarded = outcomes.filter(({ data }) => data?.end === 'not_forwarded');
      stopped += notForwarded.filter(({ reason }) => reason === 'grant_suspended').length;
      const forwarded = outcomes.length - notForwarded.length;
      // Some of these were on their way when the order came: they may have arrived, and need not have.
      expect(running.upstream.requests.length - requests).toBeLessThanOrEqual(forwarded);
      expect(running.sums(hit.grant)?.requestsSettled ?? 0).toBe(forwarded);
    }
    expect(stopped).toBeGreaterThanOrEqual(25);
  });

  it('lifted, lets requests pass again', async () => {
    const hit = await running.access();
    running.upstream.respond(openaiJson());
    await issue({ grant: hit.grant.id });
    await errorOf(hit.openai.chat.completions.create(HELLO));
    for (const id of lifts.splice(0))
      await liftOrder(running.test.broker, running.people.admin.id, id, 'Test');
    expect((await hit.openai.chat.completions.create(HELLO)).object).toBe('chat.completion');
  });
});

describe('two grants of one person', () => {
  it('end each for itself', async () => {
    const short = await running.access({ window: windowThatEnds().window });
    const long = await running.access();
    const held = hold();
    running.upstream.respond(held);
    const ending = await openStream(short, 'openai');
    const lasting = await openStream(long, 'openai');
    expect(codeOf((await ending.ending).error as ApiError)).toBe('grant_expired');
    expect(lasting.isOver()).toBe(false);
    held.release();
    expect((await lasting.ending).error).toBeUndefined();
    running.upstream.respond(openaiJson());
    expect(codeOf(await errorOf(short.openai.chat.completions.create(HELLO)))).toBe(
      'token_expired',
    );
    await long.openai.chat.completions.create(HELLO);
  });
});
