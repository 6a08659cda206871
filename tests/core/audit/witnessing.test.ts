import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { formatAddCheckpoint, parseAddCheckpoint } from '../../../src/core/audit/add-checkpoint.ts';
import { cosign, formatWitnessKey, parseWitnessKey } from '../../../src/core/audit/cosignature.ts';
import { formatSignature, parseNote } from '../../../src/core/audit/note.ts';
import {
  PolicyError,
  formatWitnessPolicy,
  parseWitnessPolicy,
} from '../../../src/core/audit/witness-policy.ts';
import { anyOf, isEnough, witnessing } from '../../../src/core/audit/witnessing.ts';
import { SampleLog } from '../../support/witnesses.ts';

const log = new SampleLog('log.example/a').growTo(7);
const note = log.checkpoint();
const { text } = parseNote(note);

/** A witness, and the lines that it adds to a note. */
function newWitness(name: string) {
  const { privateKey } = generateKeyPairSync('ed25519');
  return {
    privateKey,
    known: { name, verifierKey: formatWitnessKey(`${name}.example/w`, privateKey) },
    line: (body = text, seconds = 1_700_000_000): string =>
      formatSignature(cosign(`${name}.example/w`, privateKey, body, seconds)),
  };
}

const [a, b, c] = [newWitness('a'), newWitness('b'), newWitness('c')] as const;

describe('a cosignature', () => {
  it('is what the specification says, byte by byte', () => {
    const { signature } = cosign('a.example/w', a.privateKey, text, 1_679_315_147);
    expect(Buffer.from(signature).readBigUInt64BE()).toBe(1_679_315_147n);
    const signed = `cosignature/v1\ntime 1679315147\n${text}`;
    expect(signature.subarray(8)).toEqual(sign(null, Buffer.from(signed), a.privateKey));
    const key = parseWitnessKey(a.known.verifierKey);
    expect(key.verify(Buffer.from(text), signature)).toBe(true);
  });

  it('counts for no other text, time or key', () => {
    const key = parseWitnessKey(a.known.verifierKey);
    const { signature } = cosign('a.example/w', a.privateKey, text, 5);
    const later = Buffer.from(signature);
    later.writeBigUInt64BE(6n);
    expect(key.verify(Buffer.from(text), later)).toBe(false);
    expect(key.verify(Buffer.from(`${text}x\n`), signature)).toBe(false);
    expect(key.verify(Buffer.from(text), signature.subarray(8))).toBe(false);
    expect(parseWitnessKey(b.known.verifierKey).verify(Buffer.from(text), signature)).toBe(false);
  });

  it('is not verified with the key of a log, nor the other way round', () => {
    expect(() => parseWitnessKey(log.verifierKey)).toThrow("not a witness's");
  });
});

describe('what the cosignatures of a checkpoint come to', () => {
  const policy = anyOf([a.known, b.known, c.known], 2);

  it('says who signed, when, who did not, and whether that is enough', () => {
    const one = note + a.line();
    expect(witnessing(one, policy)).toEqual({
      signed: [{ name: 'a', at: 1_700_000_000_000 }],
      missing: ['b', 'c'],
      bad: [],
      isWitnessed: false,
    });
    expect(witnessing(one + c.line(), policy)).toMatchObject({ isWitnessed: true });
  });

  it('passes over strangers, and counts nobody twice', () => {
    const strangers = note + a.line() + a.line() + newWitness('d').line();
    expect(witnessing(strangers, policy)).toMatchObject({
      signed: [{ name: 'a' }],
      isWitnessed: false,
    });
  });

  it('counts no cosignature of another checkpoint, and says in whose name it stands', () => {
    const other = parseNote(log.checkpoint(6)).text;
    expect(witnessing(note + a.line() + b.line(other), policy)).toEqual({
      signed: [{ name: 'a', at: 1_700_000_000_000 }],
      missing: ['c'],
      bad: ['b'],
      isWitnessed: false,
    });
  });
});

describe('a policy', () => {
  const lines = [
    `log ${log.verifierKey}`,
    `witness a ${a.known.verifierKey} https://a.example/`,
    '# two of ours',
    `witness b ${b.known.verifierKey}`,
    `witness c ${c.known.verifierKey}`,
    'group ours any a b',
    'group both all ours c',
    'quorum both',
  ];

  it('is read as the specification says', () => {
    const { logs, quorum, witnesses } = parseWitnessPolicy(`${lines.join('\n')}\n`);
    expect(logs).toEqual([log.verifierKey]);
    expect(witnesses.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    expect(isEnough(quorum, new Set(['a', 'c']))).toBe(true);
    expect(isEnough(quorum, new Set(['b', 'c']))).toBe(true);
    expect(isEnough(quorum, new Set(['a', 'b']))).toBe(false);
    expect(isEnough(parseWitnessPolicy('quorum none').quorum, new Set())).toBe(true);
  });

  it('is written so that it reads the same', () => {
    const read = parseWitnessPolicy(lines.join('\n'));
    const again = parseWitnessPolicy(formatWitnessPolicy(read.logs, read) ?? '');
    expect(again.logs).toEqual(read.logs);
    for (const names of [['a', 'c'], ['a', 'b'], ['c'], ['a', 'b', 'c']])
      expect(isEnough(again.quorum, new Set(names))).toBe(isEnough(read.quorum, new Set(names)));
  });

  it('reads as it was written whatever its witnesses are called, and has no text where nothing is ever enough', () => {
    const named = (...names: string[]) =>
      names.map((name) => ({ name, verifierKey: newWitness(name).known.verifierKey }));
    const witnesses = named('enough', 'enough-group', 'enough-1', 'd');
    const quorum = {
      needed: 2,
      of: [{ needed: 1, of: ['enough', 'enough-1'] }, 'enough-group', 'd'],
    };
    const again = parseWitnessPolicy(formatWitnessPolicy([], { witnesses, quorum }) ?? '');
    for (const names of [['enough', 'enough-1'], ['enough', 'd'], ['enough-group', 'd'], ['d']])
      expect(isEnough(again.quorum, new Set(names))).toBe(isEnough(quorum, new Set(names)));
    expect(formatWitnessPolicy([], anyOf([], 1))).toBeUndefined();
    expect(formatWitnessPolicy([], anyOf([], 0))).toBe('quorum none\n');
  });

  it('counts no witness twice: not by one key under two names, nor by one name', () => {
    const again = formatWitnessKey('other.example/w', a.privateKey);
    const other = { name: 'other', verifierKey: again };
    expect(() => anyOf([a.known, { ...a.known, name: 'z' }], 2)).toThrow('count twice');
    expect(() => anyOf([a.known, other], 2)).toThrow('count twice');
    expect(() => anyOf([a.known, { ...b.known, name: 'a' }], 2)).toThrow('have the name a');
  });

  it.each([
    [['quorum a'], 'not defined'],
    [[lines[1] ?? ''], 'no line'],
    [[lines[1] ?? '', `witness z ${a.known.verifierKey}`, 'quorum a'], 'twice'],
    [[lines[1] ?? '', 'group g 2 a', 'quorum g'], 'cannot be needed'],
    [[lines[1] ?? '', 'group g 0 a', 'quorum g'], 'cannot be needed'],
    [[lines[1] ?? '', 'group g any a', 'group h any a', 'quorum g'], 'a group already'],
    [[lines[1] ?? '', 'group g any g', 'quorum g'], 'not defined'],
    [[lines[1] ?? '', 'quorum a', 'quorum a'], 'one quorum'],
    [[`witness a ${log.verifierKey}`, 'quorum a'], "not a witness's"],
    [['quota a'], 'is not log, witness, group or quorum'],
  ])('is refused where it is wrong, by its line: %j', (wrong, why) => {
    expect(() => parseWitnessPolicy(wrong.join('\n'))).toThrow(PolicyError);
    expect(() => parseWitnessPolicy(wrong.join('\n'))).toThrow(why);
  });
});

describe('what a witness is asked', () => {
  it('reads back as it was written, and nothing else does', () => {
    const asked = { old: 3, proof: log.proof(3), note };
    const body = formatAddCheckpoint(asked);
    expect(parseAddCheckpoint(body)).toEqual(asked);
    const wrong = [
      body.replace('old 3', 'old 03'),
      body.replace('old 3', 'old -3'),
      body.replace('old 3', 'new 3'),
      body.replace('old 3\n', 'old 3\nAAAA\n'),
      body.replace('old 3\n', `old 3\n${`${Buffer.alloc(32).toString('base64')}\n`.repeat(62)}`),
      body.replace('\n\n', '\n'),
      '',
    ];
    expect(wrong.slice(0, 5).map(parseAddCheckpoint)).toEqual(Array(5).fill(undefined));
    expect(parseAddCheckpoint('')).toBeUndefined();
  });
});
