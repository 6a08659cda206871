/**
 * `sallyport demo recall`: an order about the people of one attribute. Those and only those are stopped; their lab objects;
 * what it proposes takes the order's place; and access returns in steps.
 */
import { APIError } from 'openai';
import { z } from 'zod';
import { ask, assemble, read, type Colleague, type Reading } from './colleagues.ts';
import { must, refusedWith, type Narrator } from './narrator.ts';
import { tell } from './tell.ts';
import type { DemoWorld } from './world.ts';

const anything = z.looseObject({ id: z.string() });
const orderAnswer = z.looseObject({
  id: z.string(),
  level: z.number(),
  inForce: z.boolean(),
  cut: z.array(z.looseObject({ requestId: z.string(), personId: z.string() })).optional(),
});
const previewAnswer = z.looseObject({
  stops: z.looseObject({
    people: z.array(z.looseObject({ personId: z.string() })),
    live: z.array(z.looseObject({ personId: z.string() })),
  }),
  stays: z.looseObject({ people: z.number(), live: z.number() }),
});
const disputeAnswer = z.looseObject({ id: z.string(), newOrderId: z.string().nullable() });

/** From the order to the cut, at most; milliseconds. */
const MOST_MS = 250;

/** Tells the story. @returns 0, or 1 as soon as a step is not as it should be */
export const tellRecall = (out: (text: string) => void): Promise<number> =>
  tell(out, async ({ world, narrator, folder }) => {
    const colleagues = await assemble(world, folder, narrator);
    const readings = await Promise.all(colleagues.map(read));
    try {
      const order = await stopThem(world, readings, narrator);
      const lesser = await objectAndPropose(world, colleagues, order, narrator);
      await returnInSteps(world, colleagues, lesser, narrator);
      undisturbed(readings, narrator);
    } finally {
      for (const reading of readings) reading.stop();
    }
  });

/** The order: previewed, issued, and in effect on exactly those whom it is about. */
async function stopThem(
  world: DemoWorld,
  readings: Reading[],
  narrator: Narrator,
): Promise<{ id: string }> {
  const { safety, deputy } = world.people;
  const theirs = readings.filter(({ colleague }) => colleague.status === 'restricted');
  const others = readings.filter(({ colleague }) => colleague.status === 'cleared');
  const order = {
    level: 3,
    selector: { attributes: [{ name: 'export_status', is: ['restricted'] }] },
    grounds: 'A ruling of today: no access for people of this status.',
    evidence: { class: 'written', text: 'Ruling 26/117' },
    severity: {
      exploitation: 'theoretical',
      breadth: 'medium',
      capability: 'high',
      ease: 'medium',
      discoverability: 'low',
    },
  };

  narrator.chapter('A ruling arrives: nobody of one export status may go on');
  const askedAt = performance.now();
  const preview = await safety.client.post('/orders/preview', previewAnswer, { order });
  const previewMs = performance.now() - askedAt;
  const foreseen = preview.stops.live.map(({ personId }) => personId).sort();
  const expected = theirs.map(({ colleague }) => colleague.id).sort();
  must(same(foreseen, expected), `the preview names ${foreseen.join(', ')}`);
  must(preview.stays.live === others.length, `it says that ${preview.stays.live} streams go on`);
  narrator.proved(
    `${safety.name} (safety) previews the order (${previewMs.toFixed(0)} ms): it would stop ${preview.stops.people.length} people and ${foreseen.length} live streams; ${preview.stays.people} people and ${preview.stays.live} streams stay`,
    'whoever orders sees whom it stops before it does',
  );

  const sent = performance.now();
  const issued = await safety.client.post('/orders', orderAnswer, order);
  const acknowledgedMs = performance.now() - sent;
  await Promise.all(theirs.map(({ done }) => done));
  for (const { error, colleague } of theirs) {
    must(error instanceof APIError, `the stream of ${colleague.id} ended without an error`);
    must(String(error).includes(issued.id), 'the error does not name the order');
  }
  const slowest = Math.max(...theirs.map(({ endedAt = Infinity }) => endedAt - sent));
  must(slowest < MOST_MS, `the last stream was cut after ${slowest.toFixed(0)} ms`);
  must(
    same((issued.cut ?? []).map(({ personId }) => personId).sort(), expected),
    'the acknowledgement lists others than those that were cut',
  );
  narrator.proved(
    `The order is issued: acknowledged after ${acknowledgedMs.toFixed(0)} ms; the ${theirs.length} streams raised, the last ${slowest.toFixed(0)} ms after it was sent`,
    'exactly those previewed are stopped, with an explicit error that names the order',
  );

  const before = others.map(({ chunks }) => chunks);
  await untilGrown(others, before);
  must(
    others.every(({ endedAt }) => endedAt === undefined),
    'the stream of somebody whom the order is not about has ended',
  );
  narrator.proved(
    `The other ${others.length} streams go on undisturbed`,
    'a narrow finding stops nobody but those it is about',
  );
  await refusedWith(
    'second_person_needed',
    safety.client.post(`/orders/${issued.id}/ratify`, anything, {}),
  );
  await deputy.client.post(`/orders/${issued.id}/ratify`, orderAnswer, {});
  narrator.proved(
    `${deputy.name} (safety) ratifies it; ${safety.name} could not`,
    'it takes one to stop, and another for the stop to stand: else it lapses after 72 hours',
  );
  return issued;
}

async function untilGrown(readings: Reading[], before: number[]): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!readings.every(({ chunks }, i) => chunks > (before[i] ?? 0) + 5)) {
    must(performance.now() < deadline, 'the other streams stand still');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The lab complies under objection; what it proposes is accepted. */
async function objectAndPropose(
  world: DemoWorld,
  colleagues: Colleague[],
  order: { id: string },
  narrator: Narrator,
): Promise<string> {
  const { safety, deputy, lead } = world.people;
  narrator.chapter('The partner objects');
  const dispute = await lead.client.post(`/orders/${order.id}/object`, disputeAnswer, {
    grounds: 'The ruling speaks of tools and of volume, not of every question.',
    alternative: { level: 2, measures: { features: ['tools'], limitsPercent: 50 } },
  });
  const noted = await lead.client.post(
    `/orders/${order.id}/acknowledge`,
    z.looseObject({ underObjection: z.boolean() }),
    {},
  );
  must(noted.underObjection, 'the record does not say that they comply under objection');
  const [stopped] = colleagues as [Colleague];
  await refusedWith('person_suspended', ask(stopped));
  narrator.proved(
    `${lead.name} (lead) objects (${dispute.id}) and proposes a lesser measure; complied under objection`,
    'the effect goes on until the objection is decided, and the record shows both',
  );

  const decision = {
    outcome: 'modified',
    grounds: 'Tools and volume are what the ruling is about.',
  };
  await refusedWith(
    'second_person_needed',
    safety.client.post(`/disputes/${dispute.id}/decide`, anything, decision),
  );
  const decided = await deputy.client.post(
    `/disputes/${dispute.id}/decide`,
    disputeAnswer,
    decision,
  );
  const lesser = decided.newOrderId;
  if (lesser === null) throw new Error('Expected otherwise: no order took the place of the first.');
  await ask(stopped);
  await refusedWith('feature_suspended', ask(stopped, true));
  narrator.proved(
    `${deputy.name} decides: modified. ${lesser} (level 2) takes its place: questions pass again, tools do not`,
    'an alternative that does is put in place in one step, by another person than the issuer',
  );
  return lesser;
}

async function returnInSteps(
  world: DemoWorld,
  [first]: Colleague[],
  lesser: string,
  narrator: Narrator,
): Promise<void> {
  const { admin, deputy, safety } = world.people;
  const colleague = first as Colleague;
  narrator.chapter('Access returns in steps');
  const watch = await admin.client.post(`/orders/${lesser}/lower`, orderAnswer, {
    level: 1,
    grounds: 'The lab has shown how it complies.',
  });
  must(watch.level === 1 && watch.inForce, 'the watch is not in force');
  await ask(colleague);
  narrator.proved(
    `${admin.name} (admin) lowers it to a watch: ${watch.id}`,
    'everything passes again, tokens are short, and the record says who is watched',
  );
  await refusedWith(
    'second_person_needed',
    safety.client.post(`/orders/${watch.id}/lift`, anything, { grounds: 'Done.' }),
  );
  const lifted = await deputy.client.post(`/orders/${watch.id}/lift`, orderAnswer, {
    grounds: 'The ruling was withdrawn.',
  });
  must(!lifted.inForce, 'the order is still in force');
  await ask(colleague);
  narrator.proved(
    `${deputy.name} lifts it; ${safety.name}, on whose order it rests, could not`,
    'each step back takes another person than the one who tightened',
  );
}

function undisturbed(readings: Reading[], narrator: Narrator): void {
  const others = readings.filter(({ colleague }) => colleague.status === 'cleared');
  for (const { error, colleague } of others)
    must(error === undefined, `the stream of ${colleague.id} was disturbed: ${String(error)}`);
  const chunks = others.map((reading) => reading.chunks);
  narrator.proved(
    `All the while, the other streams ran on (${chunks.join(', ')} chunks)`,
    'nobody else noticed anything',
  );
}

const same = (a: string[], b: string[]): boolean => a.join(' ') === b.join(' ');
