/** What every whole operation of the store has in common. */
import { reachOf, isWithin, type Action, type Reach } from '../../core/authority.ts';
import type { EntryActor, EntryDraft } from '../../core/audit/entry.ts';
import { RefusedError, refuse, type Refusal } from '../../core/denials.ts';
import type { Member } from '../../core/people.ts';
import type { WriterContext } from '../context.ts';
import { readMember } from '../records.ts';

/**
 * A whole operation: it decides, writes and records in one transaction, or in one frame of the journal. When its result reaches the
 * caller it is durable. What it refuses (RefusedError) leaves no trace but the entry of `denied`.
 */
export interface Operation<A, R> {
  run(context: WriterContext, args: A): R;
  /**
   * Whether all that `run` can refuse comes before its first write, so that a refusal leaves nothing to undo
   * and the savepoint, which costs more than the operation itself, can be spared. For the operations that every
   * request waits for.
   */
  decidesFirst?: true;
  /**
   * Whether the journal makes it durable: it writes nothing but entries and what follows from them alone, so that they
   * are enough to do it again (src/store/redo.ts).
   */
  journalled?: true;
  /** The entry that a refusal leaves, if any. Absent where the caller records refusals in aggregate. */
  denied?(context: WriterContext, args: A, why: Refusal): EntryDraft | undefined;
}

/** Who asks for an operation of the control plane, and the time and ids the broker layer gave it. */
export interface By {
  actorId: string;
  /** Epoch milliseconds. */
  at: number;
  entryId: string;
}

export interface Authorised {
  member: Member;
  reach: Reach;
  actor: EntryActor;
}

/** Decides on the rows as they stand in this transaction whether the actor may do this at all. */
function authorise(context: WriterContext, by: By, action: Action): Authorised {
  const member = readMember(context.db, by.actorId);
  if (!member) return refuse('not_found', 'There is no such person.');
  const reach = reachOf(member, action);
  if (typeof reach !== 'string') throw new RefusedError(reach);
  return { member, reach, actor: actorOf(member) };
}

export function actorOf(member: Member): EntryActor {
  return { person: member.person.id, lab: member.lab.id, roles: member.person.roles };
}

/**
 * Refuses as "not found" what lies beyond the actor's reach, so that ids cannot be probed.
 *
 * @param message what to do, the same whether there is such a thing or not
 */
export function mustReach(
  who: Authorised,
  owner: { labId?: string | null; personId?: string | null },
  message?: string,
): void {
  if (!isWithin(who.reach, who.member, owner)) refuse('not_found', message);
}

/** Refuses a lab for whose people the actor does not answer. */
export function mustAnswerFor(who: Authorised, labId: string): void {
  const { lab } = who.member;
  mustReach(
    who,
    { labId },
    `You answer for the people of your own lab alone: give ${lab.id}, ${lab.name}.`,
  );
}

/** An operation of the control plane: what is refused leaves an `action.denied` entry. */
export function controlOperation<A extends { by: By }, R>(
  action: Action,
  run: (context: WriterContext, args: A, who: Authorised) => R,
  target: (args: A) => string | undefined = () => undefined,
): Operation<A, R> {
  return {
    run: (context, args) => run(context, args, authorise(context, args.by, action)),
    denied: (context, { by, ...args }, why) => {
      const member = readMember(context.db, by.actorId);
      return {
        id: by.entryId,
        kind: 'action.denied',
        at: by.at,
        actor: member ? actorOf(member) : { system: 'broker' },
        ref: target({ by, ...args } as unknown as A),
        lab: member?.lab.id,
        person: member?.person.id,
        decision: 'denied',
        reason: why.code,
        data: { action, message: why.message },
      };
    },
  };
}
