/** What is done with grants whose text stays as it is: people come and go on the roster, and reviews are recorded. */
import * as fc from 'fast-check';
import {
  addPersonToGrant,
  reviewGrant,
  takePersonOffGrant,
} from '../../../src/broker/manage-grants.ts';
import { additionOf, keepsRoster, mayReviewGrant } from './grant-rules.ts';
import { endTokens } from './people-commands.ts';
import { attempt, choose, command, whoAndWhat, type Command } from './run.ts';
import { placesOf, spanOfReview, type Model, type ModelGrant, type ModelPerson } from './state.ts';

interface Pair {
  grant: ModelGrant;
  person: ModelPerson;
}

const pairsOf = ({ grants, people }: Model): Pair[] =>
  people
    .filter(({ kind }) => kind === 'partner')
    .flatMap((person) => grants.map((grant) => ({ grant, person })));

const add = command('grant add person', fc.record(whoAndWhat), async (run, seed) => {
  const { model, local } = run;
  const addition = (actor: ModelPerson, { grant, person }: Pair) =>
    additionOf(model, grant, actor, person);
  const chosen = choose(run, seed, pairsOf(model), (actor, pair) => !!addition(actor, pair));
  if (!chosen) return;
  const { actor, thing } = chosen;
  const { grant, person } = thing;
  const added = addition(actor, thing);
  const expected = added && !added.sure ? undefined : added !== undefined;
  const done = await attempt(run, 'grant add person', expected, () =>
    addPersonToGrant(local.broker, actor.id, grant.id, { personId: person.id, until: null }),
  );
  if (!done) return;
  grant.off.delete(person.id);
  if (!added?.back) grant.joined.set(person.id, Infinity);
});

const takeOff = command('grant take off person', fc.record(whoAndWhat), async (run, seed) => {
  const { model, local } = run;
  const isAllowed = (actor: ModelPerson, { grant, person }: Pair): boolean =>
    keepsRoster(model, grant, actor) && placesOf(grant, grant.text.spec).has(person.id);
  const chosen = choose(run, seed, pairsOf(model), isAllowed);
  if (!chosen) return;
  const { actor, thing } = chosen;
  const { grant, person } = thing;
  const done = await attempt(run, 'grant take off person', isAllowed(actor, thing), () =>
    takePersonOffGrant(local.broker, actor.id, grant.id, person.id),
  );
  if (!done) return;
  grant.off.add(person.id);
  endTokens(model, (token) => token.person === person.id && token.grant === grant.id);
});

const review = command('grant review', fc.record(whoAndWhat), async (run, seed) => {
  const { model, local } = run;
  const chosen = choose(run, seed, model.grants, (actor, grant) =>
    mayReviewGrant(model, grant, actor),
  );
  if (!chosen) return;
  const { actor, thing: grant } = chosen;
  const done = await attempt(run, 'grant review', mayReviewGrant(model, grant, actor), () =>
    reviewGrant(local.broker, actor.id, grant.id, 'Read'),
  );
  if (done) grant.reviewDue = model.now + spanOfReview(grant.text.spec);
});

/** By how often each comes. */
export const rosterCommands: { weight: number; arbitrary: fc.Arbitrary<Command> }[] = [
  { weight: 4, arbitrary: add },
  { weight: 3, arbitrary: takeOff },
  { weight: 3, arbitrary: review },
];
