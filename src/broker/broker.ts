/** What the verbs of this folder work with. Made once, in the composition root. */
import type { Endpoint } from '../core/endpoints.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { SigningKey } from '../oauth/signing-key.ts';
import type { Store } from '../store/client.ts';
import type { Readers } from '../store/readers.ts';
import type { LiveRequests } from './live-requests.ts';
import type { Policy } from './policy.ts';
import type { Settler } from './settle-request.ts';
import type { UnauthenticatedTally } from './unauthenticated-tally.ts';

export interface Broker {
  clock: Clock;
  log: Logger;
  /** Issuer identifier of the tokens: the broker's public URL. */
  issuer: string;
  /** Where tokens are good: the gateway and the control API. */
  audiences: { gateway: string; control: string };
  /** Lifetime of tokens of the control API, milliseconds. */
  controlTokenLifetimeMs: number;
  signingKey: SigningKey;
  endpoints: ReadonlyMap<string, Endpoint>;
  store: Store;
  readers: Readers;
  policy: Policy;
  live: LiveRequests;
  settler: Settler;
  /** Refusals of callers who did not show who they are. */
  unauthenticated: UnauthenticatedTally;
}
