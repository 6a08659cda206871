/** What people do with orders. */
import * as fc from 'fast-check';
import {
  acknowledgeOrder,
  decideDispute,
  issueOrder,
  liftOrder,
  lowerOrder,
  objectToOrder,
  ratifyOrder,
  reviewOrder,
  supplementOrder,
} from '../../../src/broker/issue-order.ts';
import { previewOrder, type OrderPreview } from '../../../src/broker/preview-order.ts';
import type { OrderSpec } from '../../../src/core/orders/order.ts';
import { isOrderInForce } from './oracle.ts';
import {
  isLess,
  issued,
  mayIssue,
  mayLoosen,
  mayRule,
  mayRatify,
  mayReview,
  ratify,
  replaced,
  review,
  type Lesser,
} from './order-rules.ts';
import { lesserAt, lesserSeed, orderAt, orderSeed } from './order-seeds.ts';
import { holdAgainst, picture } from './preview.ts';
import { attempt, choose, command, whoAndWhat, type Command, type Run } from './run.ts';
import { isOneOf, type ModelDispute, type ModelOrder, type ModelPerson } from './state.ts';

const issue = command(
  'order issue',
  fc.record({ ...whoAndWhat, order: orderSeed }),
  async (run, seed) => {
    const { model, local } = run;
    const spec = orderAt(seed.order, model);
    if (!spec) return;
    const chosen = choose(run, seed, [spec], (actor, one) => mayIssue(model, actor, one));
    if (!chosen) return;
    const { actor } = chosen;
    const preview = await foresee(run, actor, spec);
    const before = preview && picture(run);
    const expected = mayIssue(model, actor, spec);
    const name = `order issue ${spec.authority.kind === 'legal' ? 'legal' : spec.level}`;
    const done = await attempt(run, name, expected, () =>
      issueOrder(local.broker, actor.id, spec, true),
    );
    if (!done) return;
    model.orders.push(issued(model, actor, done.order.id, spec));
    if (preview && before) holdAgainst(run, preview, before, done.cut);
  },
);

/** What a host's officer is shown of all labs. */
async function foresee(
  { local }: Run,
  actor: ModelPerson,
  spec: OrderSpec,
): Promise<OrderPreview | undefined> {
  const sees = ['host.admin', 'host.safety', 'host.executive', 'host.auditor', 'auditor.auditor'];
  if (actor.removed || !isOneOf(actor, ...sees)) return undefined;
  return previewOrder(local.broker, actor.id, spec, undefined);
}

type OnOrder = (run: Run, order: ModelOrder, actor: ModelPerson) => Promise<object>;

/** Something that is done with an order, by those whom the rules name. */
const onOrder = (
  name: string,
  isAllowed: (run: Run, order: ModelOrder, actor: ModelPerson) => boolean | undefined,
  act: OnOrder,
  follow: (run: Run, order: ModelOrder, actor: ModelPerson) => void = () => undefined,
): fc.Arbitrary<Command> =>
  command(name, fc.record(whoAndWhat), async (run, seed) => {
    const chosen = choose(run, seed, run.model.orders, (actor, order) =>
      Boolean(isAllowed(run, order, actor)),
    );
    if (!chosen) return;
    const { actor, thing: order } = chosen;
    const expected = isAllowed(run, order, actor);
    const done = await attempt(run, name, expected, () => act(run, order, actor));
    if (done) follow(run, order, actor);
  });

const ratifications = onOrder(
  'order ratify',
  ({ model }, order, actor) => mayRatify(model, order, actor),
  ({ local }, order, actor) => ratifyOrder(local.broker, actor.id, order.id),
  ({ model }, order) => ratify(model, order),
);

const reviews = onOrder(
  'order review',
  ({ model }, order, actor) => mayReview(model, order, actor),
  ({ local }, order, actor) => reviewOrder('Still so', local.broker, actor.id, order.id),
  ({ model }, order) => review(model, order),
);

const lifts = onOrder(
  'order lift',
  ({ model }, order, actor) => mayLoosen(model, order, actor),
  ({ local }, order, actor) => liftOrder(local.broker, actor.id, order.id, 'Done'),
  (_, order) => void (order.ended = true),
);

/** Whoever could issue it completes it, whether it is over or not. Of a partner's people, on their own alone. */
const supplements = onOrder(
  'order supplement',
  ({ model }, order, actor) => {
    const { level, selector, measures, legal } = order;
    const kind = legal ? ('legal' as const) : ('officer' as const);
    const spec = { level, selector, measures, grounds: '', authority: { kind } };
    const isTheirs = actor.kind === 'partner' && order.byLab !== actor.lab;
    const reaches = isOneOf(
      actor,
      'host.admin',
      'host.safety',
      'host.executive',
      'host.auditor',
      'auditor.auditor',
      'partner.lead',
      'partner.safety',
    );
    return reaches && !isTheirs && mayIssue(model, actor, spec);
  },
  ({ local }, order, actor) =>
    supplementOrder({ whyNotLower: 'Nothing else helps' }, local.broker, actor.id, order.id),
);

/** Whom an order concerns is not the model's business, beyond that it is no other partner's. */
const acknowledgements = onOrder(
  'order acknowledge',
  (real, order, actor) => (isHidden(real, order, actor) ? false : undefined),
  ({ local }, order, actor) => acknowledgeOrder(local.broker, actor.id, order.id),
);

/** A partner hears of no other partner's order. */
function isHidden({ model }: Pick<Run, 'model'>, order: ModelOrder, actor: ModelPerson): boolean {
  if (actor.removed) return true;
  const byPartner = model.labs.some(({ id, kind }) => id === order.byLab && kind === 'partner');
  return actor.kind === 'partner' && byPartner && order.byLab !== actor.lab;
}

const lowers = command(
  'order lower',
  fc.record({ ...whoAndWhat, lesser: lesserSeed }),
  async (real, seed) => {
    const { model, local } = real;
    const isAllowed = (actor: ModelPerson, order: ModelOrder): boolean =>
      mayLoosen(model, order, actor) && isLess(order, lesserAt(order, seed.lesser, model));
    const chosen = choose(real, seed, model.orders, isAllowed);
    if (!chosen) return;
    const { actor, thing: order } = chosen;
    const lesser = lesserAt(order, seed.lesser, model);
    const done = await attempt(real, 'order lower', isAllowed(actor, order), () =>
      lowerOrder({ ...lesser, grounds: 'Less will do' }, local.broker, actor.id, order.id),
    );
    if (done) model.orders.push(replaced(model, order, done.id, lesser, actor));
  },
);

const objections = command(
  'order object',
  fc.record({ ...whoAndWhat, lesser: fc.option(lesserSeed) }),
  async (real, seed) => {
    const { model, local } = real;
    const isAllowed = (actor: ModelPerson, order: ModelOrder): boolean =>
      actor.kind === 'partner' &&
      !isHidden(real, order, actor) &&
      isOrderInForce(order, model.now) &&
      !model.disputes.some(
        (one) => one.order === order.id && one.person === actor.id && !one.decided,
      );
    const chosen = choose(real, seed, model.orders, isAllowed);
    if (!chosen) return;
    const { actor, thing: order } = chosen;
    const proposed = seed.lesser && lesserAt(order, seed.lesser, model);
    const alternative = proposed && {
      level: proposed.level,
      selector: proposed.selector,
      measures: proposed.measures,
    };
    const expected = isAllowed(actor, order) ? undefined : false;
    const done = await attempt(real, 'order object', expected, () =>
      objectToOrder({ grounds: 'Too much', alternative }, local.broker, actor.id, order.id),
    );
    if (!done) return;
    const dispute = { id: done.id, order: order.id, person: actor.id, alternative, decided: false };
    model.disputes.push(dispute);
  },
);

const decisions = command(
  'dispute decide',
  fc.record({
    ...whoAndWhat,
    outcome: fc.constantFrom('affirmed' as const, 'modified' as const, 'vacated' as const),
    lesser: fc.option(lesserSeed),
  }),
  async (real, seed) => {
    const { model, local } = real;
    const { outcome } = seed;
    const orderOf = (dispute: ModelDispute): ModelOrder =>
      model.orders.find(({ id }) => id === dispute.order) as ModelOrder;
    const insteadOf = (dispute: ModelDispute): Lesser | undefined => {
      const order = orderOf(dispute);
      const given = seed.lesser ? lesserAt(order, seed.lesser, model) : dispute.alternative;
      if (!given) return undefined;
      const { level = order.level, selector = order.selector } = given;
      const { expiresAt } = seed.lesser ? lesserAt(order, seed.lesser, model) : {};
      return { level, selector, measures: given.measures ?? {}, expiresAt };
    };
    const isAllowed = (actor: ModelPerson, dispute: ModelDispute): boolean => {
      const order = orderOf(dispute);
      if (dispute.decided || !mayRule(model, order, actor)) return false;
      if (outcome !== 'modified') return true;
      const instead = insteadOf(dispute);
      return isOrderInForce(order, model.now) && instead !== undefined && isLess(order, instead);
    };
    const chosen = choose(real, seed, model.disputes, isAllowed);
    if (!chosen) return;
    const { actor, thing: dispute } = chosen;
    const order = orderOf(dispute);
    const given = seed.lesser ? lesserAt(order, seed.lesser, model) : null;
    const done = await attempt(real, `dispute decide ${outcome}`, isAllowed(actor, dispute), () =>
      decideDispute(local.broker, actor.id, dispute.id, {
        outcome,
        grounds: 'Weighed',
        alternative: given,
      }),
    );
    if (!done) return;
    dispute.decided = true;
    if (outcome === 'vacated' && isOrderInForce(order, model.now)) order.ended = true;
    if (outcome !== 'modified') return;
    const instead = insteadOf(dispute) as Lesser;
    model.orders.push(replaced(model, order, done.newOrderId ?? '', instead, actor));
  },
);

/** By how often each comes. */
export const orderCommands: { weight: number; arbitrary: fc.Arbitrary<Command> }[] = [
  { weight: 12, arbitrary: issue },
  { weight: 5, arbitrary: ratifications },
  { weight: 2, arbitrary: reviews },
  { weight: 2, arbitrary: supplements },
  { weight: 4, arbitrary: lifts },
  { weight: 5, arbitrary: lowers },
  { weight: 1, arbitrary: acknowledgements },
  { weight: 6, arbitrary: objections },
  { weight: 10, arbitrary: decisions },
];
