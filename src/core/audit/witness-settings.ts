/** The options of the configuration that are about witnesses: ours, and the logs that we are a witness of. */
import { z } from 'zod';
import { idSchema } from '../ids.ts';
import { isTrustworthyUrl } from '../lab-identity.ts';
import { slugSchema } from '../vocabulary.ts';
import { parseWitnessKey, rawWitnessKey } from './cosignature.ts';
import { isKeyName, parseVerifierKey } from './note-keys.ts';
import { anyOf, type Quorum, type WitnessPolicy } from './witnessing.ts';

/** A text that a function of ours reads, with its own words on what is wrong with it. */
const readBy = (read: (text: string) => unknown): z.ZodString =>
  z
    .string()
    .max(1_000)
    .check((context) => {
      try {
        read(context.value);
      } catch (error) {
        const message = `is not right: ${(error as Error).message}`;
        context.issues.push({ code: 'custom', message, input: context.value });
      }
    });

/** In a policy as text, "quorum none" says that no witness is needed. */
const nameSchema = slugSchema.refine((name) => name !== 'none', 'must be another name than "none"');

const witnessSchema = z.strictObject({
  name: nameSchema,
  url: z
    .url({ protocol: /^https?$/, error: 'must be an https:// URL', abort: true })
    .refine((text) => {
      const { username, password, hash, search } = new URL(text);
      return `${username}${password}${hash}${search}` === '';
    }, 'must have no user, password, query or fragment')
    .transform((text) => text.replace(/\/+$/, '')),
  verifierKey: readBy(parseWitnessKey),
});

/** A witness that is asked to cosign our checkpoints. */
export type WitnessSettings = z.infer<typeof witnessSchema>;

const groupSchema = z.strictObject({
  name: nameSchema,
  needed: z.int().min(1).max(32),
  of: z.array(slugSchema).min(1).max(32),
});

const policySchema = z.strictObject({
  needed: z.int().min(0).max(32),
  of: z.array(slugSchema).min(1).max(32).optional(),
  groups: z.array(groupSchema).max(32).default([]),
});

const watchedSchema = z.strictObject({
  origin: z.string().min(1).max(200).refine(isKeyName, 'must be the name of a log, as in its key'),
  verifierKeys: z.array(readBy(parseVerifierKey)).min(1).max(8),
  lab: idSchema('lab').optional(),
});

/** A log of somebody else's that we are a witness of. */
export type WatchedLog = z.infer<typeof watchedSchema>;

const witnessingSchema = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(200)
    .refine(isKeyName, 'must be a name without spaces or "+", such as witness.lab.example')
    .optional(),
  askEverySeconds: z.number().min(0.1).max(3_600).default(10),
  answerWithinSeconds: z.number().min(0.1).max(60).default(10),
  recordEveryMinutes: z.number().min(1).max(1_440).default(60),
  callsPerMinute: z.int().min(1).max(100_000).default(120),
  allowInsecureLoopback: z.boolean().default(false),
});

/** The members of the configuration that are about witnesses. */
export const witnessShape = {
  witnesses: z.array(witnessSchema).max(32).default([]),
  witnessPolicy: policySchema.optional(),
  witnessed: z.array(watchedSchema).max(64).default([]),
  witnessing: witnessingSchema.prefault({}),
};

export type WitnessConfig = z.infer<z.ZodObject<typeof witnessShape>>;

/** Says what does not fit together. @param fail is given the path and what is wrong there */
export function checkWitnessConfig(
  config: WitnessConfig & { log: { origin: string } },
  fail: (path: (string | number)[], message: string) => void,
): void {
  const { witnesses, witnessed, witnessing, log } = config;
  const names = new Set<string>();
  const keys = new Set<string>();
  for (const [i, { name, url, verifierKey }] of witnesses.entries()) {
    if (!isTrustworthyUrl(url, witnessing.allowInsecureLoopback))
      fail(
        ['witnesses', i, 'url'],
        'must be https. http is only for witnesses on this machine, with witnessing.allowInsecureLoopback',
      );
    if (names.has(name)) fail(['witnesses', i, 'name'], `"${name}" is used twice`);
    const raw = rawWitnessKey(verifierKey);
    if (keys.has(raw))
      fail(['witnesses', i, 'verifierKey'], 'is used twice: one witness would count as two');
    names.add(name);
    keys.add(raw);
  }
  checkPolicy(config, names, (path, message) => fail(['witnessPolicy', ...path], message));
  const origins = new Set<string>();
  for (const [i, { origin, verifierKeys }] of witnessed.entries()) {
    if (origin === log.origin)
      fail(['witnessed', i, 'origin'], 'is our own log: nobody is a witness of their own');
    if (origins.has(origin)) fail(['witnessed', i, 'origin'], `"${origin}" is used twice`);
    origins.add(origin);
    for (const [k, key] of verifierKeys.entries())
      if (!key.startsWith(`${origin}+`))
        fail(['witnessed', i, 'verifierKeys', k], `is not a key of ${origin}`);
  }
}

function checkPolicy(
  { witnessPolicy }: Pick<WitnessConfig, 'witnessPolicy'>,
  witnesses: ReadonlySet<string>,
  fail: (path: (string | number)[], message: string) => void,
): void {
  if (!witnessPolicy) return;
  const { groups, needed, of } = witnessPolicy;
  const known = new Set(witnesses);
  const taken = new Set<string>();
  const take = (names: readonly string[], path: (string | number)[]): void => {
    for (const name of names) {
      if (!known.has(name)) fail(path, `"${name}" is no witness, and no group above`);
      if (taken.has(name)) fail(path, `"${name}" stands in a group already: it would count twice`);
      taken.add(name);
    }
  };
  for (const [i, group] of groups.entries()) {
    take(group.of, ['groups', i, 'of']);
    if (group.needed > group.of.length)
      fail(['groups', i, 'needed'], 'is more than the group has members');
    if (known.has(group.name)) fail(['groups', i, 'name'], `"${group.name}" is used twice`);
    known.add(group.name);
  }
  if (of) take(of, ['of']);
  const members = of?.length ?? witnesses.size;
  if (needed > members) fail(['needed'], `is more than there are: ${members}`);
}

/** The policy as configured. Without one, all of the witnesses are needed; without a witness, none ever are enough. */
export function policyOf({ witnesses, witnessPolicy }: WitnessConfig): WitnessPolicy {
  if (!witnessPolicy) return anyOf(witnesses, Math.max(1, witnesses.length));
  const { needed, of, groups } = witnessPolicy;
  const made = new Map<string, Quorum>();
  const members = (names: readonly string[]): (string | Quorum)[] =>
    names.map((name) => made.get(name) ?? name);
  for (const group of groups) made.set(group.name, { needed: group.needed, of: members(group.of) });
  return { witnesses, quorum: { needed, of: members(of ?? witnesses.map(({ name }) => name)) } };
}
