/** Whether enough witnesses have cosigned a checkpoint. */
import { parseWitnessKey, rawWitnessKey, secondsOf } from './cosignature.ts';
import { parseNote } from './note.ts';

/** A witness as somebody who trusts it names it. */
export interface KnownWitness {
  /** What the policy calls it. */
  name: string;
  /** C2SP verifier key, type 4. */
  verifierKey: string;
}

/** So many of these are needed. A member is a witness, by its name, or a group of its own. */
export interface Quorum {
  needed: number;
  of: readonly (string | Quorum)[];
}

/** Whose cosignatures make a checkpoint a witnessed one. */
export interface WitnessPolicy {
  witnesses: readonly KnownWitness[];
  /** With `needed: 0` every checkpoint counts as witnessed. */
  quorum: Quorum;
}

/** What the cosignatures of a checkpoint come to. */
export interface Witnessing {
  /** Who cosigned it, and the time they say they did: epoch milliseconds. */
  signed: { name: string; at: number }[];
  /** Witnesses of the policy that have not. */
  missing: string[];
  /** Witnesses in whose name there is a cosignature that is not theirs. It counts for nothing. */
  bad: string[];
  isWitnessed: boolean;
}

/**
 * The policy that so many of these witnesses, whichever, are needed.
 *
 * @throws RangeError where one of them would count twice: two have one key, or one name
 */
export function anyOf(witnesses: readonly KnownWitness[], needed: number): WitnessPolicy {
  const keys = new Set<string>();
  const names = new Set<string>();
  for (const { name, verifierKey } of witnesses) {
    const raw = rawWitnessKey(verifierKey);
    if (keys.has(raw))
      throw new RangeError(
        `The key ${verifierKey} is that of a witness that is named already: it would count twice.`,
      );
    if (names.has(name)) throw new RangeError(`Two witnesses have the name ${name}.`);
    keys.add(raw);
    names.add(name);
  }
  return { witnesses, quorum: { needed, of: witnesses.map(({ name }) => name) } };
}

/** Whether those who cosigned are enough. @param signed names of witnesses */
export function isEnough(quorum: Quorum, signed: ReadonlySet<string>): boolean {
  const met = quorum.of.filter((member) =>
    typeof member === 'string' ? signed.has(member) : isEnough(member, signed),
  );
  return met.length >= quorum.needed;
}

/**
 * Tells who of a policy's witnesses cosigned a checkpoint. Whether the log itself signed it is for `openCheckpoint` to
 * say: a witness cosigns what a log signed, and stands for nothing else.
 *
 * @param note the signed checkpoint, cosignatures and all; those by others than the policy's witnesses are passed over
 * @throws NoteError for what is no note, RangeError when a verifier key of the policy is not one
 */
export function witnessing(note: string | Uint8Array, policy: WitnessPolicy): Witnessing {
  const { text, signatures } = parseNote(note);
  const body = Buffer.from(text, 'utf8');
  const found: Witnessing = { signed: [], missing: [], bad: [], isWitnessed: false };
  for (const { name, verifierKey } of policy.witnesses) {
    const key = parseWitnessKey(verifierKey);
    const theirs = signatures.filter((line) => line.name === key.name && line.keyId === key.keyId);
    const good = theirs.find(({ signature }) => key.verify(body, signature));
    if (good) found.signed.push({ name, at: (secondsOf(good.signature) ?? 0) * 1000 });
    else if (theirs.length > 0) found.bad.push(name);
    else found.missing.push(name);
  }
  found.isWitnessed = isEnough(policy.quorum, new Set(found.signed.map(({ name }) => name)));
  return found;
}
