/** What the verbs of this folder work with. Made once, in the composition root. */
import type { WitnessKey } from '../audit/witness-key.ts';
import type { WatchedLog } from '../core/audit/witness-settings.ts';
import type { WitnessPolicy } from '../core/audit/witnessing.ts';
import type { RetentionPolicy } from '../core/audit/retention.ts';
import type { AuthorityRules } from '../core/authority-rules.ts';
import type { Endpoint } from '../core/endpoints.ts';
import type { NoticeChannel } from '../core/notice-channels.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger, RequestLog } from '../lib/log.ts';
import type { DpopNonces } from '../oauth/dpop-nonces.ts';
import type { KeyRing } from '../oauth/key-ring.ts';
import type { LabKeys } from '../oauth/lab-keys.ts';
import type { Store } from '../store/client.ts';
import type { Configured } from '../core/configured.ts';
import type { GrantSettings } from '../store/context.ts';
import type { Readers } from '../store/readers.ts';
import type { WitnessAsker } from './ask-witnesses.ts';
import type { CallRate } from './call-rate.ts';
import type { ExportThreads } from './export-threads.ts';
import type { TranscriptStore } from '../store/transcripts/client.ts';
import type { TranscriptReader } from '../store/transcripts/reader.ts';
import type { Followers } from './followers.ts';
import type { LogForwarder } from './forward-log.ts';
import type { LogFeed } from './log-feed.ts';
import type { LiveRequests } from './live-requests.ts';
import type { BundleReadings } from './bundle-readings.ts';
import type { PruneChallenges } from './prune-challenges.ts';
import type { Metrics } from './metrics.ts';
import type { Policy } from './policy.ts';
import type { Readiness } from './readiness.ts';
import type { RepeatedDenials } from './repeated-denials.ts';
import type { Settler } from './settle-request.ts';
import type { FailureBrake } from './failure-brake.ts';
import type { TokenQuota } from './token-quota.ts';
import type { TokenUse } from './token-use.ts';
import type { UnauthenticatedTally } from './unauthenticated-tally.ts';

export interface Broker {
  clock: Clock;
  log: Logger;
  /** Lines of the same log that there is one of for each request. */
  requestLog: RequestLog;
  /** What is counted for operators. */
  metrics: Metrics;
  /** Whether requests can be served. */
  readiness: Readiness;
  /** The broker's origin as clients see it, without a slash at its end. */
  publicUrl: string;
  /** Issuer identifier of the tokens: the public URL, unless configured otherwise. */
  issuer: string;
  /** Where tokens are good: the gateway and the control API. */
  audiences: { gateway: string; control: string };
  /** Who decides, and within what time. */
  rules: AuthorityRules;
  /** What the configuration says of access, whatever grants and orders say. */
  configured: Configured;
  /** Whose approvals endpoints ask for beyond the rules. */
  approvalsOf: GrantSettings['approvalsOf'];
  /** Where notices go out. */
  channels: readonly NoticeChannel[];
  /** Lifetime of tokens of the control API, milliseconds. */
  controlTokenLifetimeMs: number;
  signingKeys: KeyRing;
  /** How long a new key is published before it signs, milliseconds. */
  keyOverlapMs: number;
  /** Nonces for proofs of possession. */
  nonces: DpopNonces;
  /** Keys of partner labs that vouch for their people. */
  labKeys: LabKeys;
  /** What this lab does with the brokers of other labs. */
  federation: {
    /** Whether identities of labs may be at http:// addresses of the loopback interface. */
    allowInsecureLoopback: boolean;
    /** Issuers of the brokers at which this lab vouches for its people. */
    audiences: readonly string[];
    /** Lifetime of an assertion, milliseconds, whole seconds. */
    assertionLifetimeMs: number;
  };
  /** Who cosigns our checkpoints, and how many of them are enough. */
  witnesses: { asker: WitnessAsker; policy: WitnessPolicy };
  /** What this broker is a witness with, and of which logs, by their origin. */
  witness: {
    key: WitnessKey;
    logs: ReadonlyMap<string, WatchedLog>;
    /** Most entries that say that a log is well are so far apart, milliseconds. */
    recordEveryMs: number;
    rate: CallRate;
  };
  /** When entries of the log may be archived and pruned; undefined: never. */
  retention: RetentionPolicy | undefined;
  endpoints: ReadonlyMap<string, Endpoint>;
  store: Store;
  readers: Readers;
  /** Exports that are being made. */
  exports: ExportThreads;
  pruneChallenges: PruneChallenges;
  /** Bodies that grants have kept. */
  transcripts: TranscriptStore;
  transcriptReader: TranscriptReader;
  policy: Policy;
  live: LiveRequests;
  settler: Settler;
  /** Refusals of callers who did not show who they are. */
  unauthenticated: UnauthenticatedTally;
  /** Refusals of callers who did, where they repeat. */
  repeatedDenials: RepeatedDenials;
  /** Who reads entry bundles, and which. */
  bundleReadings: BundleReadings;
  /** Slows those who fail again and again. */
  brake: FailureBrake;
  /** How many live tokens a person may have. */
  tokenQuota: TokenQuota;
  /** When each token was last presented. */
  tokenUse: TokenUse;
  /** Says when the log may have grown. */
  feed: LogFeed;
  /** Who follows the log. */
  followers: Followers;
  /** What forwards the log. */
  forwarding: LogForwarder;
}
