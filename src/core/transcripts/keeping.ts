/** What a grant says of keeping the bodies of its calls. */
import type { GrantSpec } from '../grants.ts';
import { recipientId } from './recipients.ts';

/** Modes in which bodies are kept at all. */
export type KeptMode = 'sealed' | 'full';

const DAY_MS = 24 * 3_600_000;

/** How the bodies of the calls under one version of a grant are kept. */
export interface Keeping {
  grantId: string;
  version: number;
  mode: KeptMode;
  /** age1…; none for `full`. */
  recipients: readonly string[];
  /** What entries call them, as a JSON array: written once. */
  recipientIds: string;
  /** After so long they are destroyed, milliseconds. */
  keepMs: number;
}

interface Version {
  id: string;
  version: number;
  spec: GrantSpec;
}

/** Of versions as they are: a change makes another object. */
const known = new WeakMap<Version, Keeping>();

/** @returns undefined for `digest`: no bodies are kept */
export function keepingOf(grant: Version): Keeping | undefined {
  const { transcripts: mode, transcriptRecipients, transcriptRetentionDays } = grant.spec;
  if (mode === 'digest') return undefined;
  let keeping = known.get(grant);
  if (!keeping) {
    const recipients = (transcriptRecipients ?? []).map(({ recipient }) => recipient);
    keeping = {
      grantId: grant.id,
      version: grant.version,
      mode,
      recipients,
      recipientIds: JSON.stringify(recipients.map(recipientId)),
      keepMs: (transcriptRetentionDays ?? 0) * DAY_MS,
    };
    known.set(grant, keeping);
  }
  return keeping;
}
