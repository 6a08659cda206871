/** Preview equals effect: exactly what was foreseen is what an order stops. */
import assert from 'node:assert/strict';
import type { Cut } from '../../../src/broker/live-requests.ts';
import type { OrderPreview } from '../../../src/broker/preview-order.ts';
import { holdsAccess, mayHaveToken, openModels, peopleAround, statusOf } from './oracle.ts';
import type { Run } from './run.ts';
import type { Model, ModelGrant, ModelPerson, ModelToken } from './state.ts';

/** What stands, by the model: grants, people under them, tokens. */
export interface Picture {
  grants: Set<string>;
  /** Of whoever has any, how much: purposes and models. */
  people: Map<string, string>;
  tokens: Set<string>;
}

export function picture({ model }: Run): Picture {
  const people = new Map<string, string>();
  for (const grant of model.grants)
    for (const person of peopleAround(model, grant)) {
      const open = accessOf(model, grant, person);
      if (open !== '') people.set(`${person.id} ${grant.id}`, open);
    }
  return {
    grants: new Set(model.grants.filter((grant) => stands(model, grant)).map(({ id }) => id)),
    people,
    tokens: new Set(model.tokens.filter((token) => opens(model, token)).map(({ id }) => id)),
  };
}

const stands = (model: Model, grant: ModelGrant): boolean => statusOf(model, grant) === 'active';

/** What somebody could ask for now, whatever they hold: those who have to bind their tokens can do that. */
function accessOf(model: Model, grant: ModelGrant, person: ModelPerson): string {
  const { text } = grant;
  const unbound = { ...grant, text: { ...text, spec: { ...text.spec, binding: 'none' as const } } };
  return text.spec.purposes.allowed
    .flatMap((purpose) => {
      const subject = { grant: unbound, person, purpose };
      if (!mayHaveToken(model, subject)) return [];
      return openModels(model, subject).map((one) => `${purpose}/${one}`);
    })
    .join(' ');
}

function opens(model: Model, token: ModelToken): boolean {
  if (token.ended || token.expires <= model.now) return false;
  const grant = model.grants.find(({ id }) => id === token.grant) as ModelGrant;
  const person = model.people.find(({ id }) => id === token.person) as ModelPerson;
  const { purpose, run, id } = token;
  const subject = { grant, person, purpose, run, token: id };
  // Terms that are new by now are asked for with the next one.
  return holdsAccess(model, subject) && openModels(model, subject).length > 0;
}

/** @param before what stood when the order was previewed */
export function holdAgainst(
  run: Run,
  { stops }: OrderPreview,
  before: Picture,
  cut: readonly Cut[],
): void {
  const after = picture(run);
  const gone = (had: Iterable<string>, has: { has(id: string): boolean }): string[] =>
    [...had].filter((id) => !has.has(id)).sort();
  assert.deepEqual([...stops.grants].sort(), gone(before.grants, after.grants), 'grants');
  const ids = (list: readonly { tokenId: string }[]): string[] =>
    list.map((one) => one.tokenId).sort();
  assert.deepEqual(ids(stops.tokens), gone(before.tokens, after.tokens), 'tokens');
  const requests = (list: readonly { requestId: string }[]): string[] =>
    list.map((one) => one.requestId).sort();
  assert.deepEqual(requests(stops.live), requests(cut), 'requests in flight');
  const shown = stops.people.map((one) => ({ ...one, who: `${one.personId} ${one.grantId}` }));
  const lose = shown.filter(({ keepsPart }) => !keepsPart).map(({ who }) => who);
  assert.deepEqual(lose.sort(), gone(before.people.keys(), after.people), 'people who lose all');
  // Who keeps a part may lose what only a request tells: a feature, an address. Nobody else loses anything.
  const touched = new Set(shown.map(({ who }) => who));
  for (const [who, had] of before.people)
    if (!touched.has(who)) assert.equal(after.people.get(who), had, `${who} is untouched`);
}
