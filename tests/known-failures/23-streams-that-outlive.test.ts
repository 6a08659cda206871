/** Known failure 23: streams go on after access was revoked or has expired. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  HELLO,
  codeOf,
  drain,
  errorOf,
  startRunningBroker,
  windowThatEnds,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import { hold } from '../support/scripted-upstream.ts';

let running: RunningBroker;
beforeAll(async () => {
  running = await startRunningBroker();
});
afterAll(() => running.close());

/** Ends in one to two seconds. */
const soon = (): string => windowThatEnds().window.until;

it.each<[string, string, () => Promise<Access>, (access: Access) => Promise<unknown>]>([
  [
    'the grant is revoked',
    'grant_revoked',
    () => running.access(),
    ({ grant }) =>
      running.api.post(running.people.safety, `/grants/${grant.id}/revoke`, { grounds: 'Over' }),
  ],
  [
    'the grant is handed back',
    'grant_closed',
    () => running.access(),
    ({ grant }) => running.api.post(running.people.lead, `/grants/${grant.id}/close`),
  ],
  [
    'the lead takes the person off the roster',
    'token_revoked',
    async () => running.access({}, await running.newResearcher()),
    ({ grant, person }) =>
      running.api.call(running.people.lead, 'delete', `/grants/${grant.id}/people/${person.id}`),
  ],
  [
    "the grant's window ends",
    'grant_expired',
    () => running.access({ window: windowThatEnds().window }),
    () => Promise.resolve(),
  ],
  [
    "the person's place ends",
    'person_not_on_grant',
    async () => {
      const person = await running.newResearcher();
      const people = [{ person: running.people.lead.id }, { person: person.id, until: soon() }];
      return running.access({ people }, person);
    },
    () => Promise.resolve(),
  ],
  [
    'an attribute that the grant requires ends',
    'attribute_required',
    async () => {
      const person = await running.newResearcher();
      const attributes = { training: { value: 'yes', until: soon() } };
      const path = `/people/${person.id}/attributes`;
      await running.api.post(running.people.lead, path, { attributes });
      return running.access({ requires: [{ name: 'training' }] }, person);
    },
    () => Promise.resolve(),
  ],
])('when %s, a stream is cut with %s', async (_when, code, begin, end) => {
  const access = await begin();
  const upstream = hold();
  const asked = running.onceAsked(upstream);
  const stream = await access.openai.chat.completions.create({ ...HELLO, stream: true });
  const ended = errorOf(drain(stream));
  await asked;
  await end(access);
  expect(codeOf(await ended)).toBe(code);
  upstream.release();
  await expect(running.tokenFor(access.person, access.grant)).rejects.toThrow(
    new RegExp(`${code}|person_not_on_grant`),
  );
});
