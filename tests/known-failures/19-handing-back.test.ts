/** Known failure 19: a holder who has finished cannot hand access back. More about it is in tests/http/hand-back.test.ts. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  HELLO,
  errorOf,
  startRunningBroker,
  type RunningBroker,
} from '../support/running-broker.ts';
import { openaiJson } from '../support/scripted-upstream.ts';

let running: RunningBroker;
beforeAll(async () => {
  running = await startRunningBroker();
});
afterAll(() => running.close());

it('a researcher gives up their place alone, for good, and nobody else loses theirs', async () => {
  const { api, people } = running;
  const [holder, colleague] = [await running.newResearcher(), await running.newResearcher()];
  const roster = [people.lead, holder, colleague].map(({ id }) => ({ person: id }));
  const grant = await running.grant({ people: roster }, [holder, colleague]);
  const [mine, theirs] = [
    await running.tokenFor(holder, grant),
    await running.tokenFor(colleague, grant),
  ];
  running.upstream.respond(openaiJson());
  await mine.openai.chat.completions.create(HELLO);
  const path = `/people/${holder.id}/hand-back`;
  const answer = await api.post(holder, path, { grant: grant.id });
  expect([answer.status, answer.body.grants]).toEqual([200, [grant.id]]);
  expect((await errorOf(mine.openai.chat.completions.create(HELLO))).status).toBe(401);
  await expect(running.tokenFor(holder, grant)).rejects.toThrow(/access_handed_back/);
  await theirs.openai.chat.completions.create(HELLO);
  // Neither the lead nor a new text brings it back.
  const again = await api.post(people.lead, `/grants/${grant.id}/people`, { person: holder.id });
  expect(again.body.code).toBe('access_handed_back');
});
