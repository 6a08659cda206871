/** What people do to grants. */
import * as fc from 'fast-check';
import {
  amendGrant,
  createGrant,
  digestOfTerms,
  stepGrant,
} from '../../../src/broker/manage-grants.ts';
import {
  accept,
  amend,
  amendmentOf,
  approvalOf,
  approve,
  mayAccept,
  mayCreate,
  mayStep,
  newText,
  take,
  type PlainStep,
} from './grant-rules.ts';
import { attempt, choose, command, oneOf, pick, whoAndWhat, type Command } from './run.ts';
import { baseSpec } from './setting.ts';
import type { ModelGrant, ModelPerson } from './state.ts';
import { EDITS, edited } from './texts.ts';

const edits = (minLength: number): fc.Arbitrary<{ what: (typeof EDITS)[number]; pick: number }[]> =>
  fc.array(fc.record({ what: fc.constantFrom(...EDITS), pick }), { minLength, maxLength: 3 });

/** A sequence that made grants without end would do little with each. */
const MOST_GRANTS = 6;

const create = command(
  'grant create',
  fc.record({ ...whoAndWhat, members: pick, edits: edits(0) }),
  async (run, seed) => {
    const { model, local } = run;
    if (model.grants.length >= MOST_GRANTS) return;
    const partners = model.labs.filter(({ kind }) => kind === 'partner');
    const lab = oneOf(seed.wild < 9 ? partners : model.labs, seed.what)?.id ?? '';
    const members = model.people.filter((one) => one.lab === lab && !one.removed);
    const some = members.filter((_, i) => (seed.members >> i) % 2 === 1).map(({ id }) => id);
    const spec = edited(baseSpec(lab, ['model-a-1'], some.slice(0, 4)), seed.edits, model);
    if (!spec) return;
    const chosen = choose(run, seed, [spec], (actor, text) => mayCreate(model, actor, text));
    if (!chosen) return;
    const { actor } = chosen;
    const made = await attempt(run, 'grant create', mayCreate(model, actor, spec), () =>
      createGrant(local.broker, actor.id, spec),
    );
    if (!made) return;
    model.grants.push({
      id: made.id,
      lab,
      state: 'draft',
      text: newText(spec, [actor.id]),
      next: null,
      accepted: new Map(),
      joined: new Map(),
      left: new Set(),
      off: new Set(),
      reviewDue: Infinity,
    });
  },
);

/** A revision that the grant never had: what is sent with it changes nothing. */
const STALE = ['stale'];

const amendments = command(
  'grant amend',
  fc.record({ ...whoAndWhat, next: fc.boolean(), edits: edits(1) }),
  async (run, seed) => {
    const { model, local } = run;
    const textFor = (grant: ModelGrant) =>
      edited((seed.next ? grant.next : null)?.spec ?? grant.text.spec, seed.edits, model);
    const chosen = choose(run, seed, model.grants, (actor, grant) => {
      const spec = textFor(grant);
      return spec !== undefined && amendmentOf(model, grant, actor, spec) !== undefined;
    });
    const spec = chosen && textFor(chosen.thing);
    if (!chosen || !spec) return;
    const { actor, thing: grant } = chosen;
    const isStale = seed.wild === 8;
    const what = isStale ? undefined : amendmentOf(model, grant, actor, spec);
    const name = `grant amend${what === 'in force' ? ' in force' : what === 'next' ? ' next' : ''}`;
    const done = await attempt(run, name, what !== undefined, () =>
      amendGrant(local.broker, actor.id, grant.id, spec, isStale ? STALE : undefined),
    );
    if (done && what) amend(grant, actor, spec, what);
  },
);

const step = (name: PlainStep): fc.Arbitrary<Command> =>
  command(`grant ${name}`, fc.record(whoAndWhat), async (run, seed) => {
    const { model, local } = run;
    const chosen = choose(run, seed, model.grants, (actor, grant) =>
      mayStep(model, grant, name, actor),
    );
    if (!chosen) return;
    const { actor, thing: grant } = chosen;
    const isStale = seed.wild === 8;
    const expected = !isStale && mayStep(model, grant, name, actor);
    const done = await attempt(run, `grant ${name}`, expected, () =>
      stepGrant(local.broker, actor.id, grant.id, name, {}, isStale ? STALE : undefined),
    );
    if (done) take(grant, name);
  });

const approvals = command(
  'grant approve',
  fc.record({
    ...whoAndWhat,
    narrowing: fc.option(edits(1), { freq: 4 }),
  }),
  async (run, seed) => {
    const { model, local } = run;
    const narrowedOf = ({ next, text }: ModelGrant) =>
      seed.narrowing ? edited((next ?? text).spec, seed.narrowing, model) : undefined;
    const chosen = choose(
      run,
      seed,
      model.grants,
      (actor, grant) => approvalOf(model, grant, actor, narrowedOf(grant)) !== undefined,
    );
    if (!chosen) return;
    const { actor, thing: grant } = chosen;
    const narrowed = narrowedOf(grant);
    const role = approvalOf(model, grant, actor, narrowed);
    const name = narrowed ? 'grant approve narrowed' : 'grant approve';
    const done = await attempt(run, name, role !== undefined, () =>
      stepGrant(local.broker, actor.id, grant.id, 'approve', { spec: narrowed }),
    );
    if (done && role) approve(model, grant, actor, role, narrowed);
  },
);

const acceptances = command(
  'grant accept',
  fc.record({ ...whoAndWhat, next: fc.boolean() }),
  async (run, seed) => {
    const { model, local } = run;
    const termsOf = ({ next, text }: ModelGrant) => (seed.next && next ? next : text).spec;
    const isAllowed = (actor: ModelPerson, grant: ModelGrant): boolean =>
      mayAccept(model, grant, actor, termsOf(grant).terms.text);
    const chosen = choose(run, seed, model.grants, isAllowed);
    if (!chosen) return;
    const { actor, thing: grant } = chosen;
    const spec = termsOf(grant);
    const termsDigest = digestOfTerms(spec);
    const done = await attempt(run, 'grant accept', isAllowed(actor, grant), () =>
      stepGrant(local.broker, actor.id, grant.id, 'accept', { termsDigest }),
    );
    if (done) accept(grant, actor, spec.terms.text);
  },
);

/** The next step of a grant on its way into force, by somebody who may take it. */
const onwards = command(
  'grant onwards',
  fc.record({ who: pick, next: fc.boolean() }),
  async (run, { who, next }) => {
    const { model, local } = run;
    const { broker } = local;
    const steps = model.grants.flatMap((grant) =>
      model.people.flatMap((actor): { name: string; take: () => Promise<void> }[] => {
        if (mayStep(model, grant, 'submit', actor))
          return [
            {
              name: 'grant submit',
              take: async () => {
                await stepGrant(broker, actor.id, grant.id, 'submit', {});
                take(grant, 'submit');
              },
            },
          ];
        const role = approvalOf(model, grant, actor, undefined);
        if (role)
          return [
            {
              name: 'grant approve',
              take: async () => {
                await stepGrant(broker, actor.id, grant.id, 'approve', {});
                approve(model, grant, actor, role, undefined);
              },
            },
          ];
        const { spec } = (next && grant.next) || grant.text;
        if (!mayAccept(model, grant, actor, spec.terms.text)) return [];
        const termsDigest = digestOfTerms(spec);
        return [
          {
            name: 'grant accept',
            take: async () => {
              await stepGrant(broker, actor.id, grant.id, 'accept', { termsDigest });
              accept(grant, actor, spec.terms.text);
            },
          },
        ];
      }),
    );
    const chosen = oneOf(steps, who);
    if (chosen) await attempt(run, chosen.name, true, chosen.take);
  },
);

/** By how often each comes. */
export const grantCommands: { weight: number; arbitrary: fc.Arbitrary<Command> }[] = [
  { weight: 3, arbitrary: create },
  { weight: 6, arbitrary: amendments },
  { weight: 24, arbitrary: onwards },
  { weight: 2, arbitrary: step('submit') },
  { weight: 2, arbitrary: step('return') },
  { weight: 1, arbitrary: step('reject') },
  { weight: 1, arbitrary: step('withdraw') },
  { weight: 1, arbitrary: step('revoke') },
  { weight: 1, arbitrary: step('close') },
  { weight: 5, arbitrary: approvals },
  { weight: 3, arbitrary: acceptances },
];
