/** Policies as text: C2SP tlog-policy. What they mean is in witnessing.ts. */
import { toBase64 } from '../tlog/bytes.ts';
import { rawWitnessKey } from './cosignature.ts';
import { ED25519, splitVerifierKey } from './note-keys.ts';
import type { KnownWitness, Quorum, WitnessPolicy } from './witnessing.ts';

/** More lines than this no policy of ours has: 32 of each kind are what C2SP asks for at least. */
const MOST_LINES = 1_000;

/** A policy that was read. */
export interface ParsedPolicy extends WitnessPolicy {
  /** Verifier keys of the logs that it is about; empty: any. */
  logs: string[];
}

/** Thrown for a text that is not a policy. The message names the line. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
}

/** Reads a policy. @throws PolicyError */
export function parseWitnessPolicy(text: string): ParsedPolicy {
  const lines = text.split('\n');
  if (lines.length > MOST_LINES)
    throw new PolicyError(`The policy has more than ${MOST_LINES} lines.`);
  const reader = new PolicyReader();
  for (const [i, line] of lines.entries()) {
    const words = line.trim().split(/[ \t]+/);
    if (words[0] === '' || words[0]?.startsWith('#')) continue;
    try {
      reader.read(words);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new PolicyError(`Line ${i + 1} of the policy: ${error.message}`);
    }
  }
  return reader.policy();
}

/**
 * Writes a policy. Its groups get names that no witness has.
 *
 * @returns undefined where the policy asks for witnesses and has none: nothing is ever enough, which no text says
 */
export function formatWitnessPolicy(
  logs: readonly string[],
  { witnesses, quorum }: WitnessPolicy,
): string | undefined {
  if (quorum.needed > quorum.of.length) return undefined;
  const lines = [
    ...logs.map((key) => `log ${key}`),
    ...witnesses.map(({ name, verifierKey }) => `witness ${name} ${verifierKey}`),
  ];
  const taken = new Set(witnesses.map(({ name }) => name));
  const free = (name: string): string => {
    if (taken.has(name)) return free(`${name}-group`);
    taken.add(name);
    return name;
  };
  const groupOf = (group: Quorum, wanted: string): string => {
    const name = free(wanted);
    const members = group.of.map((member, i) =>
      typeof member === 'string' ? member : groupOf(member, `${wanted}-${i + 1}`),
    );
    lines.push(`group ${name} ${group.needed} ${members.join(' ')}`);
    return name;
  };
  lines.push(`quorum ${quorum.needed === 0 ? 'none' : groupOf(quorum, 'enough')}`);
  return `${lines.join('\n')}\n`;
}

class PolicyReader {
  readonly #logs: string[] = [];
  readonly #witnesses: KnownWitness[] = [];
  readonly #keys = new Set<string>();
  /** What each name stands for, and whether it stands in a group already. */
  readonly #names = new Map<string, { member: string | Quorum; isTaken: boolean }>();
  #quorum: Quorum | undefined;

  read([kind = '', ...words]: string[]): void {
    switch (kind) {
      case 'log':
        this.#logs.push(this.#logKey(words));
        break;
      case 'witness':
        this.#addWitness(words);
        break;
      case 'group':
        this.#addGroup(words);
        break;
      case 'quorum':
        this.#setQuorum(words);
        break;
      default:
        throw new RangeError(`“${kind}” is not log, witness, group or quorum.`);
    }
  }

  policy(): ParsedPolicy {
    if (!this.#quorum) throw new PolicyError('The policy has no line “quorum”.');
    return { logs: this.#logs, witnesses: this.#witnesses, quorum: this.#quorum };
  }

  #logKey([key = '', ...more]: string[]): string {
    if (more.length > 1) throw new RangeError('a log has a key, and at most a URL.');
    const wrongType = 'the key of a log is of type 1, Ed25519.';
    this.#once(key, toBase64(splitVerifierKey(key, ED25519, wrongType).raw));
    return key;
  }

  #addWitness([name = '', key = '', ...more]: string[]): void {
    if (more.length > 1) throw new RangeError('a witness has a name, a key, and at most a URL.');
    this.#once(key, rawWitnessKey(key));
    this.#name(name, name);
    this.#witnesses.push({ name, verifierKey: key });
  }

  #addGroup([name = '', many = '', ...members]: string[]): void {
    const of = members.map((member) => this.#take(member));
    const needed = many === 'all' ? of.length : many === 'any' ? 1 : Number(many);
    if (of.length === 0) throw new RangeError('a group has at least one member.');
    if (!/^(all|any|[1-9]\d{0,3})$/.test(many) || needed > of.length)
      throw new RangeError(`of ${of.length} members, “${many}” cannot be needed.`);
    this.#name(name, { needed, of });
  }

  #setQuorum([name = '', ...more]: string[]): void {
    if (more.length > 0) throw new RangeError('a quorum is one name.');
    if (this.#quorum) throw new RangeError('there can be one quorum only.');
    if (name === 'none') this.#quorum = { needed: 0, of: [] };
    else {
      const member = this.#named(name).member;
      this.#quorum = typeof member === 'string' ? { needed: 1, of: [member] } : member;
    }
  }

  /** Two lines with one key would have one witness count twice. */
  #once(key: string, same: string): void {
    if (this.#keys.has(same)) throw new RangeError(`the key ${key} stands there twice.`);
    this.#keys.add(same);
  }

  #name(name: string, member: string | Quorum): void {
    if (name === '' || name === 'none') throw new RangeError(`“${name}” cannot be a name.`);
    if (this.#names.has(name)) throw new RangeError(`the name “${name}” stands there twice.`);
    this.#names.set(name, { member, isTaken: false });
  }

  #take(name: string): string | Quorum {
    const named = this.#named(name);
    if (named.isTaken) throw new RangeError(`“${name}” is a member of a group already.`);
    named.isTaken = true;
    return named.member;
  }

  #named(name: string): { member: string | Quorum; isTaken: boolean } {
    const named = this.#names.get(name);
    if (!named) throw new RangeError(`“${name}” is not defined above.`);
    return named;
  }
}
