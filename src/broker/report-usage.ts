/** Reports on a run or a grant: its entries below a checkpoint, added up by a thread of its own. */
import { addAbortSignal } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { ExportPlan } from '../audit/exports/export-plan.ts';
import type { Reach } from '../core/authority.ts';
import { refuse } from '../core/denials.ts';
import { levelInWords, type Order } from '../core/orders/order.ts';
import { partsOf, selectorInWords } from '../core/orders/selector.ts';
import type { Lab } from '../core/people.ts';
import type { Figures } from '../core/reports/figures.ts';
import type { ReportedOrder, UsageReport } from '../core/reports/usage-report.ts';
import { mintId } from '../lib/ids.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import { touchesGrant, touchesLab } from './concerned.ts';
import { showRun } from './list-tokens.ts';
import { mayRead } from './reach.ts';
import { isPruned } from './retention.ts';
import { logKeyOf } from './rotate-log-key.ts';
import { showGrant } from './show-grant.ts';

/** What a report is on. */
interface Subject {
  of: 'run' | 'grant';
  id: string;
  title: string;
  grantId: string;
  /** Epoch milliseconds. */
  createdAt: number;
}

/**
 * @param gone aborts when nobody waits for it any more
 * @throws RefusedError `not_found` for a run that the reader does not see; the reason of `gone`
 */
export function reportOnRun(
  broker: Broker,
  actorId: string,
  runId: string,
  gone: AbortSignal,
): Promise<UsageReport> {
  mayRead(broker, actorId, 'report.run');
  const { id, name, grantId, createdAt } = showRun(broker, actorId, runId);
  return report(broker, actorId, { of: 'run', id, title: name, grantId, createdAt }, gone);
}

/**
 * @param gone aborts when nobody waits for it any more
 * @throws RefusedError `not_found` for a grant that the reader does not see; the reason of `gone`
 */
export function reportOnGrant(
  broker: Broker,
  actorId: string,
  grantId: string,
  gone: AbortSignal,
): Promise<UsageReport> {
  mayRead(broker, actorId, 'report.grant');
  const { grant } = showGrant(broker, actorId, grantId);
  const { title } = grant.spec;
  const { createdAt } = grant;
  const subject: Subject = { of: 'grant', id: grantId, title, grantId, createdAt };
  return report(broker, actorId, subject, gone);
}

async function report(
  broker: Broker,
  actorId: string,
  subject: Subject,
  gone: AbortSignal,
): Promise<UsageReport> {
  const { policy, readers, store } = broker;
  const { of, id, title, grantId } = subject;
  const { reach, member, bounds } = mayRead(broker, actorId, `report.${of}`);
  const grant = policy.grant(grantId) ?? refuse('not_found');
  const labId = grant.spec.lab;
  const onlyOf = bounds.personId;
  const who = by(broker, actorId);
  let begins = 0;
  const { recorded, figures } = await figuresOf(broker, member.lab, gone, async () => {
    const operation = of === 'run' ? 'recordRunReport' : 'recordGrantReport';
    const written = await store.write(operation, { by: who, id, grantId, labId, onlyOf });
    begins = readers.minimumIndex();
    const plan: ExportPlan = {
      id: mintId('exp', who.at),
      format: 'figures',
      run: of === 'run' ? id : undefined,
      range: { from: begins, to: written.size },
      filter: { grant: grantId, lab: bounds.labId, person: bounds.personId },
      record: written.index,
      checkpoint: written.note,
      verifierKey: logKeyOf(broker, written.size),
    };
    return { recorded: written, plan };
  });
  return {
    of,
    id,
    title,
    grant: grantId,
    lab: { id: labId, name: policy.lab(labId)?.name ?? labId },
    onlyOf: onlyOf ?? null,
    madeAt: new Date(who.at).toISOString(),
    madeBy: actorId,
    log: store.origin,
    checkpoint: recorded.note,
    size: recorded.size,
    archivedBefore: isPruned(broker, subject.createdAt) ? begins : null,
    entry: recorded.index,
    figures,
    orders: ordersOn(broker, reach, subject, figures, who.at).map((order) =>
      shown(order, who.at, readers),
    ),
    names: namesIn(broker, reach, member.lab.id, [
      actorId,
      ...figures.people.map((one) => one.of),
      ...figures.steps.flatMap((step) => step.by ?? []),
    ]),
  };
}

/** Adds up what a plan takes in, as soon as that is on record; a place for it is taken before. */
async function figuresOf<T>(
  { exports }: Broker,
  lab: Lab,
  gone: AbortSignal,
  record: () => Promise<{ recorded: T; plan: ExportPlan }>,
): Promise<{ recorded: T; figures: Figures }> {
  const slot = exports.takeSlot('report', lab);
  try {
    const { recorded, plan } = await record();
    gone.throwIfAborted();
    const content = exports.make(plan, slot, 0, () => Promise.resolve());
    const bytes = await buffer(addAbortSignal(gone, content));
    return { recorded, figures: JSON.parse(bytes.toString('utf8')) as Figures };
  } catch (error) {
    gone.throwIfAborted();
    throw error;
  } finally {
    slot.cancel();
  }
}

const BATCH = 200;

/** Orders that touch what is reported on, and were in force at some time of it; and those that its entries name. */
function ordersOn(
  broker: Broker,
  reach: Reach,
  { of, id, grantId }: Subject,
  { from, until, people, orders: effects }: Figures,
  now: number,
): Order[] {
  const grant = broker.policy.grant(grantId);
  if (!grant) return [];
  const named = new Set(effects.map(({ order }) => order));
  const begun = from === null ? now : Date.parse(from);
  const over = of === 'run' && until !== null ? Date.parse(until) : now;
  const isOfIts = (order: Order): boolean => {
    const { run, person } = partsOf(order.selector);
    if (run !== undefined && of === 'run' && run !== id) return false;
    if (person !== undefined && !people.some((one) => one.of === person)) return false;
    return touchesGrant(broker, order, grant);
  };
  const found: Order[] = [];
  for (let after: string | undefined; ;) {
    const batch = broker.readers.listOrders({ after, limit: BATCH }, {});
    for (const order of batch) {
      const isSeen = reach === 'all' || touchesLab(broker, order, grant.spec.lab);
      const wasInForce = order.issuedAt <= over && (order.endedAt ?? Infinity) >= begun;
      if (isSeen && (named.has(order.id) || (wasInForce && isOfIts(order)))) found.push(order);
    }
    after = batch.at(-1)?.id;
    if (batch.length < BATCH) return found.toReversed();
  }
}

function shown(order: Order, at: number, readers: Broker['readers']): ReportedOrder {
  const { id, level, selector, issuedAt, endedAt } = order;
  const about = { from: 0, limit: 1, ref: id, kind: 'order.issued' };
  return {
    id,
    level: levelInWords(level),
    about: selectorInWords(selector),
    issuedAt: new Date(issuedAt).toISOString(),
    endedAt: endedAt === null || endedAt > at ? null : new Date(endedAt).toISOString(),
    entry: readers.listEntries(about).at(0)?.index ?? null,
  };
}

/** Names of people whom the reader may know by name: those of their own lab, or all. */
function namesIn(
  { policy }: Broker,
  reach: Reach,
  labId: string,
  ids: readonly string[],
): Record<string, string> {
  const people = [...new Set(ids)].flatMap((one) => policy.person(one) ?? []);
  const known = people.filter((one) => reach === 'all' || one.labId === labId);
  return Object.fromEntries(known.map(({ id, name }) => [id, name]));
}
