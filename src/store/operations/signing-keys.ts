/**
 * The keys that sign tokens, from one state to the next. Here are their public halves; a private half is a
 * file that is there before the transaction that puts it to use, and is removed after the one that retires it.
 */
import { eq, isNull } from 'drizzle-orm';
import type { EntryActor, EntryKind, Json } from '../../core/audit/entry.ts';
import { refuse } from '../../core/denials.ts';
import { mayRetire, takesOver, type SigningKeyRecord } from '../../core/signing-keys.ts';
import type { WriterContext } from '../context.ts';
import { signingKeys, tokens } from '../schema.ts';
import { hasUnexpiredTokens, readSigningKeys } from '../signing-key-rows.ts';
import { endTokens } from './end-tokens.ts';
import { controlOperation, type By, type Operation } from './operation.ts';

/** A key whose private half is at hand, and which nobody has used. */
export interface NewKey {
  kid: string;
  x: string;
}

/** When something happens to keys, by whom, and ids for the entries that say so. */
interface Step {
  at: number;
  actor: EntryActor;
  entryIds: string[];
}

/** Retiring keys that retire in one transaction; the rest follow in the next one. */
const RETIRED_AT_A_TIME = 8;

/** No operation here writes more entries. */
export const MOST_KEY_ENTRIES = 2 + RETIRED_AT_A_TIME;

const BROKER: EntryActor = { system: 'broker' };

/**
 * Sees to it that there is an active key when the broker starts. A key whose private half is gone can sign
 * nothing more, and nobody knows who has it: it retires, and its tokens end.
 */
export const openSigningKeys: Operation<
  {
    at: number;
    entryIds: string[];
    /** Keys whose private halves are at hand. */
    held: string[];
    /** Becomes the active key where no other can. `found` is one that signed before the store kept count of keys. */
    spare: (NewKey & { found: boolean }) | undefined;
  },
  { lost: string[]; tokensEnded: number }
> = {
  run(context, { at, entryIds, held, spare }) {
    const step = { at, actor: BROKER, entryIds: [...entryIds] };
    const keys = readSigningKeys(context.db);
    if (keys.length === 0 && spare?.found) claimTokens(context, spare.kid);
    const lost = keys.filter(
      ({ kid, state }) => (state === 'active' || state === 'next') && !held.includes(kid),
    );
    let tokensEnded = 0;
    for (const key of lost) tokensEnded += endKey(context, step, key, { lost: true });
    if (!inState(context, 'active')) succeed(context, step, spare);
    return { lost: lost.map(({ kid }) => kid), tokensEnded };
  },
};

/**
 * Makes the next key known, or has one take over at once: the one that waits, or else the new one. The
 * refusal of a second one while a key waits keeps two people who rotate at the same time from making two.
 *
 * @returns the key that signs from now on, or from its `activatesAt` on
 */
export const rotateSigningKeys = controlOperation(
  'key.rotate',
  (
    context,
    args: {
      by: By;
      /** Absent where none could be written. */
      key: NewKey | undefined;
      activatesAt: number;
      now: boolean;
      entryIds: string[];
    },
    who,
  ): SigningKeyRecord => {
    const step = {
      at: args.by.at,
      actor: who.actor,
      entryIds: [args.by.entryId, ...args.entryIds],
    };
    turnOver(context, { ...step, actor: BROKER });
    const waiting = inState(context, 'next');
    if (args.now)
      return activate(context, step, waiting ?? create(context, step, mustHave(args.key), null));
    if (waiting) {
      const from = new Date(waiting.activatesAt ?? step.at).toISOString().replace(/\.\d+Z$/, 'Z');
      refuse(
        'already_exists',
        `A new key waits already: ${waiting.kid} signs from ${from} on. Wait for that, or have it take over at once: "sallyport keys rotate --now".`,
      );
    }
    return create(context, step, mustHave(args.key), args.activatesAt);
  },
);

/** What time alone brings: the next key takes over, and retiring keys retire. Doing it again changes nothing. */
export const advanceSigningKeys: Operation<{ now: number; entryIds: string[] }, void> = {
  run(context, { now, entryIds }) {
    const step = { at: now, actor: BROKER, entryIds: [...entryIds] };
    turnOver(context, step);
    const over = readSigningKeys(context.db).filter((key) =>
      mayRetire(key, hasUnexpiredTokens(context.db, key.kid, now), now),
    );
    for (const key of over.slice(0, RETIRED_AT_A_TIME)) retire(context, step, key, {});
  },
};

/** What ending a key did. */
export interface RetiredKey {
  key: SigningKeyRecord;
  /** The key that signs now. */
  activeKid: string;
  /** How many live tokens ended. */
  tokensEnded: number;
}

/** Retires a key that may have leaked: its tokens end, and where it was the active one, another takes over. */
export const retireSigningKey = controlOperation(
  'key.retire',
  (
    context,
    args: {
      by: By;
      kid: string;
      grounds: string;
      /** Absent where none could be written. */
      spare: NewKey | undefined;
      entryIds: string[];
    },
    who,
  ): RetiredKey => {
    const step = {
      at: args.by.at,
      actor: who.actor,
      entryIds: [args.by.entryId, ...args.entryIds],
    };
    const key = mustFind(context, args.kid);
    if (key.state === 'retired') refuse('already_decided', 'This key has been retired already.');
    const tokensEnded = endKey(context, step, key, { grounds: args.grounds });
    const active = inState(context, 'active') ?? succeed(context, step, args.spare);
    return { key: mustFind(context, key.kid), activeKid: active.kid, tokensEnded };
  },
  (args) => args.kid,
);

/** The next key takes over if its time has come. */
function turnOver(context: WriterContext, step: Step): void {
  const next = inState(context, 'next');
  if (next && takesOver(next, step.at)) activate(context, step, next);
}

/** The key that waits takes over, or else the spare one. */
function succeed(context: WriterContext, step: Step, spare: NewKey | undefined): SigningKeyRecord {
  const next = inState(context, 'next');
  if (next) return activate(context, step, next);
  return activate(context, step, create(context, step, mustHave(spare), null));
}

function mustHave(key: NewKey | undefined): NewKey {
  return (
    key ??
    refuse(
      'unexpected',
      'This takes a new key, and none could be written to the folder of keys. See to the space and the permissions there, then try again; until then, a suspension of all access ("sallyport order suspend") stops what a leaked key can do.',
    )
  );
}

function create(
  context: WriterContext,
  step: Step,
  key: NewKey,
  activatesAt: number | null,
): SigningKeyRecord {
  context.db
    .insert(signingKeys)
    .values({ ...key, state: 'next', createdAt: step.at, activatesAt })
    .run();
  append(context, step, 'key.created', key.kid, {
    x: key.x,
    ...(activatesAt === null ? {} : { activatesAt: new Date(activatesAt).toISOString() }),
  });
  return announce(context, key.kid);
}

function activate(context: WriterContext, step: Step, key: SigningKeyRecord): SigningKeyRecord {
  const before = inState(context, 'active');
  if (before) {
    change(context, before.kid, { state: 'retiring', replacedAt: step.at });
    append(context, step, 'key.replaced', before.kid, { by: key.kid });
  }
  const active = change(context, key.kid, { state: 'active', activatedAt: step.at });
  append(context, step, 'key.activated', key.kid, {});
  return active;
}

/** Retires a key and ends its tokens. @returns how many of them were live */
function endKey(
  context: WriterContext,
  step: Step,
  key: SigningKeyRecord,
  data: Record<string, Json>,
): number {
  const tokensEnded = endTokens(context, eq(tokens.signingKid, key.kid), step.at);
  retire(context, step, key, { ...data, tokensEnded });
  return tokensEnded;
}

function retire(
  context: WriterContext,
  step: Step,
  { kid, state }: SigningKeyRecord,
  data: Record<string, Json>,
): void {
  change(context, kid, { state: 'retired', retiredAt: step.at });
  append(context, step, 'key.retired', kid, { was: state, ...data });
}

/** Tokens from before keys were kept count of: all of them were signed by the only key there was. */
function claimTokens(context: WriterContext, kid: string): void {
  context.db.update(tokens).set({ signingKid: kid }).where(isNull(tokens.signingKid)).run();
}

function change(
  context: WriterContext,
  kid: string,
  values: Partial<SigningKeyRecord>,
): SigningKeyRecord {
  context.db.update(signingKeys).set(values).where(eq(signingKeys.kid, kid)).run();
  return announce(context, kid);
}

function announce(context: WriterContext, kid: string): SigningKeyRecord {
  const value = mustFind(context, kid);
  context.changed({ kind: 'key', value });
  return value;
}

function append(
  context: WriterContext,
  { at, actor, entryIds }: Step,
  kind: EntryKind,
  kid: string,
  data: Record<string, Json>,
): void {
  const id = entryIds.shift();
  if (id === undefined) throw new Error('There are more entries to write than ids for them.');
  context.append({ id, kind, at, actor, ref: kid, data });
}

function inState(
  context: WriterContext,
  state: SigningKeyRecord['state'],
): SigningKeyRecord | undefined {
  return context.db.select().from(signingKeys).where(eq(signingKeys.state, state)).get();
}

function mustFind(context: WriterContext, kid: string): SigningKeyRecord {
  return (
    context.db.select().from(signingKeys).where(eq(signingKeys.kid, kid)).get() ??
    refuse('not_found', 'There is no such key.')
  );
}
