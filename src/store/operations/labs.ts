/** Labs, and the identities that they sign for their people with. */
import { isDeepStrictEqual } from 'node:util';
import { and, eq, isNotNull, ne } from 'drizzle-orm';
import type { EntryDraft } from '../../core/audit/entry.ts';
import { RefusedError, refuse } from '../../core/denials.ts';
import { refusalOfIdentity, type IdentityInput } from '../../core/lab-identity.ts';
import type { Lab, LabIdentity, LabKind, Person } from '../../core/people.ts';
import type { WriterContext } from '../context.ts';
import { noteIntroduction } from '../introductions.ts';
import { readLab, readMeta } from '../records.ts';
import { labs, tokens } from '../schema.ts';
import { endTokens } from './end-tokens.ts';
import { controlOperation, mustReach, type By, type Operation } from './operation.ts';
import { insertPerson, type NewPerson } from './people.ts';

/** The first lab and person, made by whoever has the data directory: the root of all authority. */
export const initialise: Operation<
  { at: number; entryId: string; lab: { id: string; name: string }; admin: NewPerson },
  { lab: Lab; admin: Person }
> = {
  run(context, { at, entryId, lab, admin }) {
    if (readMeta(context.db, 'host_lab'))
      refuse('already_exists', 'This data directory has a host lab already.');
    if (!admin.key || !admin.roles.includes('admin'))
      refuse('invalid_request', 'The first person of the host lab is an admin with a key.');
    context.writeMeta('host_lab', lab.id);
    const host = insertLab(context, { ...lab, kind: 'host', createdAt: at, identity: null });
    const person = insertPerson(context, host, admin, { by: null, at });
    context.append({
      id: entryId,
      kind: 'system.initialised',
      at,
      actor: { system: 'broker' },
      lab: host.id,
      person: person.id,
      data: {
        name: host.name,
        admin: person.name,
        roles: person.roles,
        attributes: person.attributes,
        subject: person.subject ?? undefined,
        kid: admin.key?.kid,
      },
    });
    return { lab: host, admin: person };
  },
};

export const createLab = controlOperation(
  'lab.create',
  (
    context,
    args: { by: By; id: string; name: string; kind: Exclude<LabKind, 'host'> },
    who,
  ): Lab => {
    const lab = insertLab(context, {
      id: args.id,
      kind: args.kind,
      name: args.name,
      createdAt: args.by.at,
      identity: null,
    });
    context.append({
      id: args.by.entryId,
      kind: 'lab.created',
      at: args.by.at,
      actor: who.actor,
      ref: lab.id,
      lab: lab.id,
      data: { name: lab.name, labKind: lab.kind },
    });
    return lab;
  },
);

interface SetArgs {
  by: By;
  labId: string;
  identity: IdentityInput;
  /** How many of the keys that were given cannot check a signature. */
  unusableKeys: number;
  /** The broker's own issuer, and whether the configuration takes http:// to the loopback interface. */
  rules: { issuer: string; allowInsecureLoopback: boolean };
}

/**
 * Registers a lab's identity. Where the lab had another one, every token that it vouched for ends in the
 * same transaction; the same one again changes nothing.
 */
export const setLabIdentity = controlOperation(
  'lab.set_identity',
  (context, { by, labId, identity, unusableKeys, rules }: SetArgs, who): Lab => {
    const lab = readLab(context.db, labId) ?? refuse('not_found', 'There is no such lab.');
    mustReach(who, { labId: lab.id });
    if (lab.kind === 'host')
      refuse('invalid_request', 'The host lab cannot sign for its people here: give them keys.');
    const others = context.db
      .select({ identity: labs.identity })
      .from(labs)
      .where(and(isNotNull(labs.identity), ne(labs.id, lab.id)))
      .all()
      .flatMap((row) => row.identity ?? []);
    const why = refusalOfIdentity(identity, rules, others);
    if (why) throw new RefusedError(why);
    if (unusableKeys > 0) {
      refuse(
        'invalid_request',
        `${unusableKeys} of the keys cannot check a signature: look at the numbers, and whether "alg" fits the key.`,
        { param: 'jwks' },
      );
    }
    if (lab.identity && isSameIdentity(lab.identity, identity)) return lab;
    // Later than the one before even within a millisecond: what was checked against that one is told by it.
    const setAt = Math.max(by.at, (lab.identity?.setAt ?? 0) + 1);
    noteIntroduction(context.db, labId, who.member.person.id, by.at);
    return change(context, lab, { ...identity, setAt }, by.at, (tokensEnded) => ({
      id: by.entryId,
      kind: 'lab.identity_set',
      at: by.at,
      actor: who.actor,
      data: { ...described(identity), before: described(lab.identity), tokensEnded },
    }));
  },
  (args) => args.labId,
);

/** Takes a lab's identity away, and ends every token that it vouched for in the same transaction. */
export const removeLabIdentity = controlOperation(
  'lab.remove_identity',
  (context, { by, labId }: { by: By; labId: string }, who): Lab => {
    mustReach(who, { labId });
    const lab = readLab(context.db, labId) ?? refuse('not_found', 'There is no such lab.');
    if (!lab.identity) refuse('already_decided', 'This lab has no identity registered.');
    return change(context, lab, null, by.at, (tokensEnded) => ({
      id: by.entryId,
      kind: 'lab.identity_removed',
      at: by.at,
      actor: who.actor,
      data: { ...described(lab.identity), tokensEnded },
    }));
  },
  (args) => args.labId,
);

function insertLab(context: WriterContext, lab: Lab): Lab {
  const [inserted] = context.db.insert(labs).values(lab).onConflictDoNothing().returning().all();
  if (!inserted) refuse('already_exists', `There is a lab named "${lab.name}" already.`);
  context.changed({ kind: 'lab', value: lab });
  return lab;
}

/** @param entryOf what is recorded, given how many live tokens were ended */
function change(
  context: WriterContext,
  lab: Lab,
  identity: LabIdentity | null,
  at: number,
  entryOf: (tokensEnded: number) => EntryDraft,
): Lab {
  context.db.update(labs).set({ identity }).where(eq(labs.id, lab.id)).run();
  const changed = { ...lab, identity };
  context.changed({ kind: 'lab', value: changed });
  const vouchedFor = and(eq(tokens.labId, lab.id), eq(tokens.vouchedBy, 'lab'));
  const tokensEnded = endTokens(context, vouchedFor, at);
  context.append({ ...entryOf(tokensEnded), ref: lab.id, lab: lab.id });
  return changed;
}

function isSameIdentity(known: LabIdentity, given: IdentityInput): boolean {
  const then = JSON.stringify({ ...given, setAt: known.setAt });
  return isDeepStrictEqual(known, JSON.parse(then));
}

/** What the record says of an identity. */
function described(identity: IdentityInput | null): {
  issuer?: string;
  jwksUrl?: string | undefined;
  kids?: string[] | undefined;
} {
  if (!identity) return {};
  const { issuer, jwksUrl, jwks } = identity;
  return { issuer, jwksUrl, kids: jwks?.keys.flatMap(({ kid }) => kid ?? []) };
}
