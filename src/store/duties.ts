/** The duties that begin when access ends. */
import { and, eq, isNull } from 'drizzle-orm';
import type { EntryActor } from '../core/audit/entry.ts';
import { after, before } from '../core/durations.ts';
import type { Duty, DutyCause } from '../core/duties.ts';
import type { Grant } from '../core/grants.ts';
import { mintId } from '../lib/ids.ts';
import { putOnAgenda } from './agenda.ts';
import type { WriterContext } from './context.ts';
import { notify } from './notify.ts';
import { endSelectedTokens } from './operations/end-tokens.ts';
import { duties, grantAcceptances, tokens } from './schema.ts';

interface Ending {
  cause: DutyCause;
  /** Epoch milliseconds. */
  at: number;
  actor: EntryActor;
  /** Whose access ended; absent: everybody's. */
  personId?: string | undefined;
}

/**
 * Begins the duties that a grant names, in the transaction of what ended it. What is open from before does not begin anew:
 * a recall asks for nothing twice. What was reported was reported for the time before. Where nobody ever accepted the terms
 * there was no access, and there is nothing to do.
 */
export function beginDuties(context: WriterContext, grant: Grant, ending: Ending): void {
  const { cause, at, actor, personId } = ending;
  if (grant.spec.duties.length === 0 || !hadAccess(context, grant, personId)) return;
  const running = openDuties(context, grant.id, personId);
  const begun = grant.spec.duties
    .filter(({ kind, text }) => !running.some((duty) => duty.kind === kind && duty.text === text))
    .map(({ kind, text, within }) => {
      const duty: Duty = {
        id: mintId('dty', at),
        grantId: grant.id,
        labId: grant.spec.lab,
        personId: personId ?? null,
        kind,
        text,
        cause,
        begunAt: at,
        dueAt: after(at, within),
        ...NOT_DONE,
        // The one that the broker does itself.
        ...(kind === 'destroy_tokens' && destroyTokens(context, grant.id, personId, at)),
      };
      context.db.insert(duties).values(duty).run();
      if (duty.state === 'open') putDutyOnAgenda(context, duty, at);
      // One for each: an entry holds so much, and what ends access must not fail for what is to be done then.
      context.append({
        id: mintId('ent', at),
        kind: 'duty.begun',
        at,
        actor,
        ref: duty.id,
        lab: duty.labId,
        grant: grant.id,
        grantVersion: grant.version,
        person: personId,
        data: {
          cause,
          kind,
          text,
          dueAt: new Date(duty.dueAt).toISOString(),
          state: duty.state,
          statement: duty.statement,
        },
      });
      return duty;
    });
  if (begun.length === 0) return;
  const open = begun.filter(({ state }) => state === 'open');
  const first = Math.min(...open.map(({ dueAt }) => dueAt));
  notify(context, {
    kind: 'duty.begun',
    ref: grant.id,
    at,
    to: [{ labId: context.host }, { labId: grant.spec.lab }],
    title:
      open.length === 0
        ? `The tokens of the grant "${grant.spec.title}" were ended, as it asks for.`
        : `The grant "${grant.spec.title}" asks for ${open.length === 1 ? 'a duty' : `${open.length} duties`} now, the first by ${new Date(first).toISOString()}: see "sallyport duty list --grant ${grant.id}".`,
  });
}

const NOT_DONE = {
  state: 'open',
  reportedBy: null,
  reportedAt: null,
  statement: null,
  documentDigest: null,
  confirmedBy: null,
  confirmedAt: null,
  returnGrounds: null,
} as const;

function hadAccess({ db }: WriterContext, grant: Grant, personId: string | undefined): boolean {
  if (personId === undefined) return grant.acceptedForLabBy !== null;
  const ofPerson = and(
    eq(grantAcceptances.grantId, grant.id),
    eq(grantAcceptances.personId, personId),
  );
  return db.select().from(grantAcceptances).where(ofPerson).limit(1).all().length > 0;
}

function openDuties(
  { db }: WriterContext,
  grantId: string,
  personId: string | undefined,
): Pick<Duty, 'kind' | 'text'>[] {
  const whose = personId === undefined ? isNull(duties.personId) : eq(duties.personId, personId);
  return db
    .select()
    .from(duties)
    .where(and(eq(duties.grantId, grantId), whose, eq(duties.state, 'open')))
    .all();
}

function destroyTokens(
  context: WriterContext,
  grantId: string,
  personId: string | undefined,
  at: number,
): Pick<Duty, 'state' | 'statement' | 'confirmedAt'> {
  const under = eq(tokens.grantId, grantId);
  const these = personId === undefined ? under : and(under, eq(tokens.personId, personId));
  const { live } = endSelectedTokens(context, these, at);
  return { state: 'done', confirmedAt: at, statement: `The broker ended ${live} live tokens.` };
}

/** Reminders, and the moment at which it is overdue. */
export function putDutyOnAgenda(context: WriterContext, { id, dueAt }: Duty, now: number): void {
  const { remindBefore } = context.rules.reviews;
  for (const at of [...remindBefore.map((span) => before(dueAt, span)), dueAt])
    if (at > now) putOnAgenda(context, { kind: 'duty', ref: id, at });
}
