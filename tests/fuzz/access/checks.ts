/** What has to hold after every step. */
import assert from 'node:assert/strict';
import {
  decideAccess,
  decideIssue,
  featuresInForce,
  grantStanding,
  modelsInForce,
} from '../../../src/core/access.ts';
import type { Grant } from '../../../src/core/grants.ts';
import type { Order } from '../../../src/core/orders/order.ts';
import type { Switch } from '../../../src/core/vocabulary.ts';
import { withStanding } from '../../../src/broker/show-grant.ts';
import { showGrantAnswer } from '../../../src/http/grant-answer.ts';
import { showOrderAnswer } from '../../../src/http/order-answer.ts';
import {
  isOrderInForce,
  isStopped,
  mayHaveToken,
  openModels,
  passes,
  peopleAround,
  restoredFor,
  statusOf,
  type Subject,
} from './oracle.ts';
import type { Run } from './run.ts';
import { ADDRESSES, ENDPOINT_OF } from './setting.ts';
import {
  placesOf,
  type Model,
  type ModelGrant,
  type ModelOrder,
  type ModelPerson,
} from './state.ts';

const PURPOSES = ['hallucination', 'scheming', 'bias'] as const;
const FEATURES: Switch[][] = [[], ['tools']];

/** @param turn changes which of all possible requests are looked at */
export function checkStep(run: Run, turn: number): void {
  checkShown(run, turn);
  checkOrders(run);
  checkStreams(run);
  for (const [i, grant] of run.model.grants.entries()) {
    const people = peopleAround(run.model, grant);
    const stranger = run.model.people[(turn + i) % run.model.people.length] as ModelPerson;
    for (const [j, person] of [...people, stranger].entries())
      checkAccess(run, grant, person, turn + i + j);
  }
}

/** Shown is enforced: what the API says of a grant is what the model says. Of one grant, all of it. */
function checkShown({ local, model }: Run, turn: number): void {
  const { policy, configured } = local.broker;
  for (const [i, grant] of model.grants.entries()) {
    const stored = policy.grant(grant.id) as Grant;
    const status = statusOf(model, grant);
    const standing = grantStanding(stored, policy.orders, model.now, configured);
    assert.equal(standing.status, status, `the status of ${grant.id}`);
    if (i !== turn % model.grants.length) continue;
    const shown = showGrantAnswer(withStanding(local.broker, stored));
    assert.deepEqual(
      [shown.state, shown.status, shown.statusReason === null, shown.proposed?.state],
      [grant.state, status, status === 'active', nextShown(grant, status)],
      `what is shown of ${grant.id}`,
    );
    const roster = shown.roster.map((place): [string, number] => [
      place.personId,
      place.until === null ? Infinity : Date.parse(place.until),
    ]);
    assert.deepEqual(new Map(roster), placesOf(grant, grant.text.spec), `roster of ${grant.id}`);
    assert.deepEqual(
      new Set(shown.acceptedBy),
      grant.accepted.get(grant.text.spec.terms.text) ?? new Set(),
      `who accepted the terms of ${grant.id}`,
    );
  }
}

/** Of a grant that is over, what was proposed can never be. */
const nextShown = ({ next }: ModelGrant, status: string): string | undefined =>
  status === 'expired' ? undefined : next?.state;

function checkOrders({ local, model }: Run): void {
  if (model.orders.length === 0) return;
  const stored = new Map(
    local.broker.readers.listOrders({ limit: 1_000 }, {}).map((order) => [order.id, order]),
  );
  assert.equal(stored.size, model.orders.length, 'number of orders');
  for (const order of model.orders) {
    const found = stored.get(order.id) as Order;
    assert.ok(found);
    const shown = showOrderAnswer(found, model.now);
    assert.deepEqual(
      [shown.inForce, shown.level, shown.selector],
      [isOrderInForce(order, model.now), order.level, order.selector],
      `what is shown of ${order.id}`,
    );
    checkHands(model, order, found);
  }
}

/** Nobody ratified or ended their own order, and a partner never the host's. */
function checkHands(model: Model, order: ModelOrder, { ratifiedBy, endedBy }: Order): void {
  for (const id of [ratifiedBy, endedBy]) {
    if (id === null) continue;
    assert.notEqual(id, order.by, `${order.id} by its issuer alone`);
    const hand = model.people.find((person) => person.id === id) as ModelPerson;
    if (hand.kind === 'partner') assert.equal(order.byLab, hand.lab, `${order.id} by a partner`);
  }
}

/** Every stream that may not go on has been cut, and no other. */
function checkStreams({ model, streams }: Run): void {
  for (const stream of streams) {
    const { subject, token, restored, live } = stream;
    stream.isCut ||= token.ended || !passes(model, subject, restored);
    assert.equal(live.cancellation.isCancelled, stream.isCut, `stream ${live.id}`);
  }
}

function checkAccess(run: Run, grant: ModelGrant, person: ModelPerson, turn: number): void {
  const { local, model } = run;
  const { policy, configured } = local.broker;
  const member = policy.member(person.id);
  assert.ok(member);
  const purpose = PURPOSES[turn % PURPOSES.length] as (typeof PURPOSES)[number];
  const address = ADDRESSES[turn % ADDRESSES.length] as string;
  const token = model.tokens.find(
    (one) => one.person === person.id && one.grant === grant.id && one.purpose === purpose,
  );
  const held = { person, grant, purpose, run: token?.run, token: token?.id };
  const facts = {
    ...member,
    grant: policy.grant(grant.id),
    purpose,
    runId: token?.run,
    tokenId: token?.id,
    bound: false,
    narrowing: null,
    orders: policy.orders,
    configured,
  };
  const isGiven = decideIssue(facts, model.now).allowed;
  if (isGiven !== mayHaveToken(model, held))
    assert.fail(`A token was ${isGiven ? 'allowed' : 'refused'}: ${describe(held)}`);
  if (isGiven && facts.grant) {
    const given = { ...facts, grant: facts.grant };
    assert.deepEqual(modelsInForce(given, model.now).models, openModels(model, held));
    const shown = featuresInForce(given, facts.grant.spec.features, model.now);
    if (facts.grant.spec.features.tools && !shown.tools)
      assert.ok(isStopped(model, { ...held, features: ['tools'] }), 'tools are shown as paused');
  }
  for (const [i, [name, endpoint]] of Object.entries(ENDPOINT_OF).entries()) {
    const features = FEATURES[(turn + i) % FEATURES.length] as Switch[];
    const restored = turn % 2 === 0 ? [] : [...restoredFor(endpoint)];
    const subject: Subject = { ...held, endpoint, model: name, features, address };
    const decision = decideAccess(
      {
        ...facts,
        operation: 'chat.completions',
        endpoint,
        model: name,
        address,
        features,
        restored,
      },
      model.now,
    );
    const isAllowed = passes(model, subject, restored);
    run.decisions.compared += 1;
    if (isAllowed) run.decisions.allowed += 1;
    if (decision.allowed !== isAllowed)
      assert.fail(
        `A request was ${decision.allowed ? 'allowed' : decision.refusal.message}: ${describe(subject)}`,
      );
  }
}

const describe = ({ person, grant, ...rest }: Subject): string =>
  JSON.stringify({ person: person?.id, grant: grant.id, ...rest });
