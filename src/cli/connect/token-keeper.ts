/** Keeps a token of the gateway at hand: renews it before it runs out, and says why where there is none. */
import { z } from 'zod';
import type { Clock } from '../../lib/clock.ts';
import type { TokenAnswer } from '../broker-client.ts';
import { failed } from '../problems.ts';
import { LocalRefusedError, localRefusal } from './local-refusal.ts';

const grantedSchema = z.looseObject({
  grant: z.string(),
  purpose: z.string(),
  run: z.string(),
  run_id: z.string().optional(),
  models: z.array(z.string()),
  operations: z.array(z.string()),
  features: z.record(z.string(), z.unknown()),
});
/** What a token gives access to (RFC 9396), which may be less than what was asked for. */
export type Granted = z.infer<typeof grantedSchema>;

export interface HeldToken {
  text: string;
  /** Epoch milliseconds, as all times here. */
  expiresAt: number;
  /** Undefined where a new one would not last longer. */
  renewAt: number | undefined;
  granted: Granted;
}

interface KeeperEvents {
  renewed: (token: HeldToken) => void;
  /** No token was to be had. @param inHand whether the one in hand still lives */
  failed: (error: unknown, inHand: boolean) => void;
}

/** A renewal that fails is tried again after one second, then two, and so on up to this. */
const LONGEST_BACKOFF_MS = 30_000;

/** While there is no token, the token endpoint is asked at most this often: an order can be lifted. */
const ASK_AGAIN_MS = 3_000;

/** What an access token consists of. Nothing else goes into a header. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

export class TokenKeeper {
  readonly #ask: () => Promise<TokenAnswer>;
  readonly #clock: Clock;
  readonly #events: KeeperEvents;
  #held: HeldToken | undefined;
  /** Every token that has been issued and may still live, fit for use or not. */
  #issued: Pick<HeldToken, 'text' | 'expiresAt'>[] = [];
  #asking: Promise<HeldToken> | undefined;
  #failures = 0;
  #refused: { error: unknown; until: number } | undefined;
  #ended: Error | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param ask gets a token that is bound to this run's key */
  constructor(ask: () => Promise<TokenAnswer>, clock: Clock, events: KeeperEvents) {
    this.#ask = ask;
    this.#clock = clock;
    this.#events = events;
  }

  /** The token in hand, for display. */
  get held(): HeldToken | undefined {
    return this.#held;
  }

  /** A token that lives. However many ask at once, the broker is asked once. @throws why there is none */
  async current(): Promise<HeldToken> {
    if (this.#ended) throw this.#ended;
    if (this.#held && this.#held.expiresAt > this.#clock()) return this.#held;
    const refused = this.#refused;
    if (!this.#asking && refused && this.#clock() < refused.until) throw refused.error;
    return this.#get();
  }

  /** Another token than one that the gateway refuses. @throws why there is none */
  replace(refused: HeldToken): Promise<HeldToken> {
    if (this.#held === refused) this.#held = undefined;
    return this.current();
  }

  /** Somebody has ended the token: no other is asked for, and whoever wants one gets this. */
  end(error: Error): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#held = undefined;
    clearTimeout(this.#timer);
  }

  /** Asks for no more tokens. @returns those that may still live, to be handed back */
  async stop(): Promise<string[]> {
    clearTimeout(this.#timer);
    this.#ended ??= new LocalRefusedError(localRefusal('local_stopping'));
    // One may be on its way.
    await this.#asking?.catch(() => undefined);
    return this.#issued.filter((token) => token.expiresAt > this.#clock()).map(({ text }) => text);
  }

  #get(): Promise<HeldToken> {
    this.#asking ??= this.#request().finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  async #request(): Promise<HeldToken> {
    const askedAt = this.#clock();
    let next: HeldToken;
    try {
      const answer = await this.#ask();
      this.#issued = this.#issued.filter(({ expiresAt }) => expiresAt > askedAt);
      this.#issued.push({ text: answer.access_token, expiresAt: expiryOf(answer, askedAt) });
      next = heldFrom(answer, askedAt);
    } catch (error) {
      if (!this.#ended) this.#failed(error);
      throw error;
    }
    if (this.#ended) throw this.#ended;
    this.#failures = 0;
    this.#refused = undefined;
    // What ends with its grant is not renewed: the next would end at the same moment.
    const before = this.#held;
    if (before && next.expiresAt - before.expiresAt < 1000) next.renewAt = undefined;
    this.#held = next;
    this.#wakeAt(next.renewAt);
    this.#events.renewed(next);
    return next;
  }

  #failed(error: unknown): void {
    const now = this.#clock();
    const inHand = this.#held !== undefined && this.#held.expiresAt > now;
    this.#refused = { error, until: now + ASK_AGAIN_MS };
    const backoff = Math.min(LONGEST_BACKOFF_MS, 1000 * 2 ** this.#failures);
    this.#failures += 1;
    // Without one in hand, the next request asks.
    this.#wakeAt(inHand ? now + backoff : undefined);
    this.#events.failed(error, inHand);
  }

  #wakeAt(time: number | undefined): void {
    clearTimeout(this.#timer);
    if (time === undefined) return;
    const renew = (): void => {
      // Its failure was told, and another attempt set, where it happened.
      this.#get().catch(() => undefined);
    };
    this.#timer = setTimeout(renew, Math.max(0, time - this.#clock()));
  }
}

/** @throws CliError when it is not a token that is bound to this run's key */
function heldFrom(answer: TokenAnswer, askedAt: number): HeldToken {
  const { access_token: text, token_type: type } = answer;
  if (!JWT.test(text))
    throw failed('The broker answered with something that is not an access token.');
  if (type.toLowerCase() !== 'dpop')
    throw failed(
      'The broker issued a token that is not bound to the key of this run. It takes a broker that supports DPoP.',
    );
  const granted = grantedSchema.safeParse(answer.authorization_details?.[0]);
  if (!granted.success)
    throw failed(
      'The broker does not say what its token gives access to. Use the version of the command that the broker has.',
    );
  const expiresAt = expiryOf(answer, askedAt);
  return { text, expiresAt, renewAt: renewalTime(askedAt, expiresAt), granted: granted.data };
}

/** Counted from before it was asked for, so that it is over here no later than there. */
const expiryOf = ({ expires_in: seconds }: TokenAnswer, askedAt: number): number =>
  askedAt + seconds * 1000;

/**
 * When to renew: with a fifth of the life left or 30 s, whichever is more. A life too short for that is
 * renewed half-way; but never later than 5 s before the end, nor sooner than a second from now.
 */
export function renewalTime(issuedAt: number, expiresAt: number): number {
  const life = expiresAt - issuedAt;
  const margin = Math.max(5_000, Math.min(life / 2, Math.max(life / 5, 30_000)));
  return Math.max(issuedAt + 1000, expiresAt - margin);
}
