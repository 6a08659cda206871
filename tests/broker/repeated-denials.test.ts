/** Refusals that repeat: what is counted of them is recorded once, and lost by no failure of a write. */
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { MOST_SINGLY, RepeatedDenials, type Room } from '../../src/broker/repeated-denials.ts';
import type { EntryDraft } from '../../src/core/audit/entry.ts';
import { RefusedError, refusal, type DenialCode } from '../../src/core/denials.ts';
import type { Logger } from '../../src/lib/log.ts';
import type { Store } from '../../src/store/client.ts';
import { NOW, RESEARCHER, at, idOf } from '../support/facts.ts';

const MINUTE = 60_000;
const ONE = idOf('tok', 'one');
const OTHER = idOf('tok', 'other');

let now: number;
let written: EntryDraft[];
let errors: unknown[];
/** How the log takes an entry. */
let take: (entry: EntryDraft) => Promise<void>;
let denials: RepeatedDenials;

beforeEach(() => {
  now = NOW;
  written = [];
  errors = [];
  take = (entry) => {
    written.push(entry);
    return Promise.resolve();
  };
  const write = (_name: string, { entry }: { entry: EntryDraft }): Promise<void> => take(entry);
  denials = new RepeatedDenials({
    store: { write } as unknown as Store,
    clock: () => now,
    log: {
      warn: () => undefined,
      error: (fields: object) => errors.push(fields),
    } as never as Logger,
  });
  onTestFinished(() => denials.close());
});

const unavailable = (): Promise<never> =>
  Promise.reject(new RefusedError(refusal('log_unavailable')));

function subject(token: string): Parameters<RepeatedDenials['count']>[0] {
  const { person, lab } = RESEARCHER;
  return {
    actor: { person: person.id, lab: lab.id, roles: person.roles },
    lab: lab.id,
    person: person.id,
    grant: idOf('grt', 'one'),
    grantVersion: 1,
    token,
    purpose: 'hallucination',
    run: idOf('run', 'one'),
  };
}

/** Refuses so many times, as the broker does. @returns how many had room for an entry of their own */
function refuse(token: string, times: number, code: DenialCode = 'request_rate_limited'): number {
  let singly = 0;
  for (let i = 0; i < times; i += 1) {
    if (denials.take(token)) singly += 1;
    else denials.count(subject(token), code);
  }
  return singly;
}

const counts = (): unknown[] =>
  written.map(({ token, data }) => [token, data?.['since'], data?.['counts']]);

describe('room for entries of their own', () => {
  test('is for a hundred of a token in a minute, which begins with the first', () => {
    expect(refuse(ONE, 99)).toBe(99);
    now += MINUTE - 1;
    expect(refuse(ONE, 3)).toBe(1);
    expect(refuse(OTHER, 2)).toBe(2);
    now += 1;
    expect(refuse(ONE, 101)).toBe(MOST_SINGLY);
  });

  test('that was given back is there again, and never more than there was', () => {
    const rooms = Array.from({ length: MOST_SINGLY }, () => denials.take(ONE));
    denials.giveBack(rooms[0] as Room);
    expect(refuse(ONE, 2)).toBe(1);
    for (const room of [...rooms, ...rooms]) denials.giveBack(room as Room);
    expect([refuse(ONE, 200), refuse(OTHER, 200)]).toEqual([MOST_SINGLY, MOST_SINGLY]);
  });

  test('is there again after a clock was set back', () => {
    refuse(ONE, 101);
    now -= 3 * MINUTE;
    expect(refuse(ONE, 101)).toBe(MOST_SINGLY);
  });
});

describe('what was counted', () => {
  test('is recorded when the minute is over, once, with all that the refusals share', async () => {
    refuse(ONE, 102, 'model_not_granted');
    now += 1_000;
    refuse(ONE, 5);
    await denials.flush();
    expect(written).toEqual([]);
    now += MINUTE - 1_000;
    await Promise.all([denials.flush(), denials.flush()]);
    expect(written).toEqual([
      {
        ...subject(ONE),
        id: expect.stringMatching(/^ent_/) as string,
        kind: 'request.denied_repeatedly',
        at: now,
        decision: 'denied',
        data: { since: at(NOW), counts: { model_not_granted: 2, request_rate_limited: 5 } },
      },
    ]);
    now += MINUTE;
    await denials.flush();
    expect(written).toHaveLength(1);
  });

  test('is recorded by minute and token', async () => {
    refuse(ONE, 101);
    refuse(OTHER, 102);
    now += MINUTE;
    await denials.flush();
    refuse(ONE, 103);
    now += MINUTE;
    await denials.flush();
    expect(counts()).toEqual([
      [ONE, at(NOW), { request_rate_limited: 1 }],
      [OTHER, at(NOW), { request_rate_limited: 2 }],
      [ONE, at(NOW + MINUTE), { request_rate_limited: 3 }],
    ]);
  });

  test('is forgotten once it is recorded, and so is a token that has been quiet', async () => {
    for (let i = 0; i < 1_000; i += 1) refuse(`tok_${i}`, 1);
    refuse(ONE, 101);
    expect(denials.remembered).toBe(1_001);
    now += MINUTE;
    await denials.flush();
    expect(denials.remembered).toBe(0);
  });

  test('survives a write that fails, what came in the meantime included', async () => {
    let fail = (): void => undefined;
    refuse(ONE, 110);
    now += MINUTE;
    take = () => new Promise((_resolve, reject) => (fail = () => reject(new Error('Full.'))));
    const first = denials.flush();
    refuse(ONE, 120);
    refuse(ONE, 1, 'not_supported');
    now += MINUTE;
    const same = denials.flush();
    fail();
    await Promise.all([first, same]);
    take = unavailable;
    await denials.flush();
    refuse(ONE, 101);
    now += MINUTE;
    await denials.flush();
    expect(written).toEqual([]);
    take = (entry) => Promise.resolve(void written.push(entry));
    await denials.flush();
    expect(counts()).toEqual([[ONE, at(NOW), { request_rate_limited: 31, not_supported: 1 }]]);
    expect(denials.remembered).toBe(0);
  });

  test('of one token that cannot be recorded does not hold up the others for long', async () => {
    refuse(ONE, 101);
    refuse(OTHER, 101);
    now += MINUTE;
    take = (entry) =>
      entry.token === ONE ? unavailable() : Promise.resolve(void written.push(entry));
    await denials.flush();
    await denials.flush();
    expect(written.map(({ token }) => token)).toEqual([OTHER]);
  });
});

describe('at the end of the process', () => {
  test('what is counted is recorded, in the middle of a minute', async () => {
    refuse(ONE, 150);
    await denials.close();
    expect(counts()).toEqual([[ONE, at(NOW), { request_rate_limited: 50 }]]);
    expect(errors).toEqual([]);
  });

  test('a log that fails is said to have lost them', async () => {
    refuse(ONE, 150);
    refuse(OTHER, 101);
    take = unavailable;
    await denials.close();
    expect(errors).toEqual([{ refusals: 51 }]);
  });

  test('a disk that hangs does not hold it up', async () => {
    refuse(ONE, 150);
    now += MINUTE;
    take = () => new Promise(() => undefined);
    void denials.flush();
    refuse(ONE, 107);
    const begun = performance.now();
    await denials.close();
    expect(performance.now() - begun).toBeLessThan(3_000);
    expect(errors).toEqual([{ refusals: 57 }]);
  });
});
