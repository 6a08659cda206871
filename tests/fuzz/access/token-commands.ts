/** Tokens are asked for and ended, and streams begun with them. */
import { randomBytes, randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { SignJWT } from 'jose';
import { admitRequest } from '../../../src/broker/admit-request.ts';
import { endRun, revokeTokens } from '../../../src/broker/end-access.ts';
import { issueToken } from '../../../src/broker/issue-token.ts';
import type { Switch } from '../../../src/core/vocabulary.ts';
import { Cancellation } from '../../../src/lib/cancellation.ts';
import { mintId } from '../../../src/lib/ids.ts';
import { mayHaveToken, passes, restoredFor, type Subject } from './oracle.ts';
import { attempt, choose, command, oneOf, pick, whoAndWhat, type Command } from './run.ts';
import { ADDRESSES, ENDPOINT_OF } from './setting.ts';
import {
  isOneOf,
  type Model,
  type ModelGrant,
  type ModelPerson,
  type ModelToken,
} from './state.ts';

const PURPOSES = ['hallucination', 'scheming', 'bias'] as const;

const issue = command('token issue', fc.record({ ...whoAndWhat, key: pick }), async (run, seed) => {
  const { model, local } = run;
  const asked = model.grants.flatMap((grant) => PURPOSES.map((purpose) => ({ grant, purpose })));
  const isAllowed = (person: ModelPerson, one: (typeof asked)[number]): boolean =>
    person.keys.length > 0 && mayHaveToken(model, { ...one, person });
  const chosen = choose(run, seed, asked, isAllowed);
  if (!chosen) return;
  const { actor: person, thing } = chosen;
  const { grant, purpose } = thing;
  const key = oneOf(person.keys, seed.key);
  if (!key) return;
  const { broker } = local;
  const now = Math.floor(model.now / 1000);
  const clientAssertion = await new SignJWT({
    iss: person.id,
    sub: person.id,
    aud: broker.issuer,
    jti: randomUUID(),
    iat: now,
    exp: now + 60,
  })
    .setProtectedHeader({ alg: 'EdDSA', kid: key.kid })
    .sign(key.privateKey);
  const request = {
    clientAssertion,
    labAssertion: undefined,
    clientId: undefined,
    resource: undefined,
    access: {
      type: 'model_access' as const,
      grant: grant.id,
      purpose,
      run: `run ${seed.what % 3}`,
    },
  };
  const expected = isAllowed(person, thing) && !isEnded(model, grant, purpose, request.access.run);
  const done = await attempt(run, 'token issue', expected, () =>
    issueToken(broker, request, { proofs: [], method: 'POST', url: '' }),
  );
  if (!done) return;
  model.tokens.push({
    id: done.id,
    person: person.id,
    grant: grant.id,
    purpose,
    kid: key.kid,
    run: done.access?.runId ?? '',
    runName: request.access.run,
    expires: done.expiresAt,
    ended: false,
  });
});

/** Of a grant and a purpose, a name is one run for ever. */
const isEnded = (model: Model, grant: ModelGrant, purpose: string, name: string): boolean =>
  model.tokens.some(
    (token) =>
      token.grant === grant.id &&
      token.purpose === purpose &&
      token.runName === name &&
      model.endedRuns.has(token.run),
  );

const mayEnd = (actor: ModelPerson, { person }: ModelToken, model: Model): boolean => {
  if (actor.removed) return false;
  const lab = model.people.find(({ id }) => id === person)?.lab;
  return (
    isOneOf(actor, 'host.admin', 'host.safety') ||
    (isOneOf(actor, 'partner.lead') && actor.lab === lab) ||
    actor.id === person
  );
};

const revoke = command(
  'tokens revoke',
  fc.record({
    ...whoAndWhat,
    by: fc.constantFrom('token' as const, 'grant' as const, 'run' as const),
  }),
  async (run, seed) => {
    const { model, local } = run;
    const chosen = choose(
      run,
      seed,
      model.tokens,
      (actor, token) => !token.ended && mayEnd(actor, token, model),
    );
    if (!chosen) return;
    const { actor, thing } = chosen;
    const part = seed.by;
    const value = part === 'token' ? thing.id : thing[part];
    const done = await attempt(run, 'tokens revoke', !actor.removed, () =>
      revokeTokens(local.broker, actor.id, { [part]: value }),
    );
    if (!done) return;
    for (const token of model.tokens) {
      const isMeant = (part === 'token' ? token.id : token[part]) === value;
      if (isMeant && mayEnd(actor, token, model)) token.ended = true;
    }
  },
);

const finish = command('run end', fc.record(whoAndWhat), async (run, seed) => {
  const { model, local } = run;
  const firstOf = (id: string): ModelToken =>
    model.tokens.find((token) => token.run === id) as ModelToken;
  const runs = [...new Set(model.tokens.map((token) => token.run))];
  // Whoever takes part in a run that somebody else began ends their own part.
  const takesPart = (actor: ModelPerson, id: string): boolean =>
    model.tokens.some((token) => token.run === id && token.person === actor.id);
  const endsAll = (actor: ModelPerson, id: string): boolean => mayEnd(actor, firstOf(id), model);
  const isAllowed = (actor: ModelPerson, id: string): boolean =>
    !actor.removed && (endsAll(actor, id) || takesPart(actor, id));
  const chosen = choose(run, seed, runs, isAllowed);
  if (!chosen) return;
  const { actor, thing: id } = chosen;
  const done = await attempt(run, 'run end', isAllowed(actor, id), () =>
    endRun(local.broker, actor.id, id),
  );
  if (!done) return;
  const all = endsAll(actor, id);
  if (all) model.endedRuns.add(id);
  for (const token of model.tokens)
    if (token.run === id && (all || token.person === actor.id)) token.ended = true;
});

const begin = command(
  'stream begin',
  fc.record({
    wild: fc.nat({ max: 9 }),
    which: pick,
    model: pick,
    address: fc.constantFrom(...ADDRESSES),
    features: fc.subarray<Switch>(['streaming', 'tools']),
  }),
  async (run, seed) => {
    const { model, local } = run;
    const { address, features } = seed;
    const usable = model.tokens.filter(({ ended, expires }) => !ended && expires > model.now);
    const token = oneOf(usable.length > 0 ? usable : model.tokens, seed.which);
    if (!token) return;
    const granted = model.grants
      .filter(({ id }) => id === token.grant)
      .flatMap(({ text }) => text.spec.endpoints.flatMap(({ models }) => models));
    const names = seed.wild < 8 ? granted : Object.keys(ENDPOINT_OF);
    const name = oneOf(names, seed.model) as string;
    const endpoint = ENDPOINT_OF[name] as string;
    const subject = subjectOf(model, token, { endpoint, model: name, features, address });
    const restored = seed.which % 2 === 0 ? [] : restoredFor(endpoint);
    const { grant, person } = subject;
    const expected = !token.ended && token.expires > model.now && passes(model, subject, restored);
    const cancellation = new Cancellation();
    const id = mintId('req', model.now);
    const done = await attempt(run, 'stream begin', expected, () =>
      admitRequest(local.broker, {
        facts: {
          requestId: id,
          personId: token.person,
          labId: grant.lab,
          roles: [...(person?.roles ?? [])],
          grantId: grant.id,
          grantVersion: 1,
          tokenId: token.id,
          purpose: token.purpose,
          runId: token.run,
          operation: 'chat.completions',
          endpoint,
          model: name,
          stream: true,
          features,
          restored: [...restored],
        },
        address,
        amount: { tokens: 1, spendNanoUsd: 0 },
        salt: randomBytes(16).toString('base64'),
        data: '',
        cancellation,
      }),
    );
    if (!done) return;
    run.streams.push({ live: { id, cancellation }, subject, token, restored, isCut: false });
  },
);

function subjectOf(
  model: Model,
  token: ModelToken,
  asked: Pick<Subject, 'endpoint' | 'model' | 'features' | 'address'>,
): Subject {
  const grant = model.grants.find(({ id }) => id === token.grant) as ModelGrant;
  const person = model.people.find(({ id }) => id === token.person);
  const { purpose, run, id } = token;
  return { grant, person, purpose, run, token: id, ...asked };
}

/** By how often each comes. */
export const tokenCommands: { weight: number; arbitrary: fc.Arbitrary<Command> }[] = [
  { weight: 8, arbitrary: issue },
  { weight: 2, arbitrary: revoke },
  { weight: 1, arbitrary: finish },
  { weight: 12, arbitrary: begin },
];
