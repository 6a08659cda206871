/** One run from its first token to the handing back of its last. */
import { setTimeout as delay } from 'node:timers/promises';
import type { BrokerClient } from '../broker-client.ts';
import { asTyped } from '../command-line.ts';
import { fetchProofOrigin } from '../issuer.ts';
import { counted, moment, printJson } from '../output.ts';
import { failed } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import type { TrustedKeys } from '../../audit/known-keys.ts';
import { keepingReceipts, receiptsInWords } from './keep-receipts.ts';
import type { ReceiptKeeper } from './receipt-keeper.ts';
import { Display } from './display.ts';
import { DpopProofs } from './dpop.ts';
import { applied, environmentFor, environmentLines, type Environment } from './environment.ts';
import { Explainer } from './explain.ts';
import { refusalWithoutToken } from './local-refusal.ts';
import { startProxy, type Proxy } from './proxy.ts';
import type { RateLimits } from './rate-limits.ts';
import { runCommand, type Command } from './run-command.ts';
import { groundsOf, watchStanding, type Standing } from './standing.ts';
import { orderInWords, statusLine } from './status-line.ts';
import { TokenKeeper, type HeldToken } from './token-keeper.ts';

export interface RunOptions {
  /** `authorization_details` as asked for (RFC 9396). */
  access: object;
  port: number;
  /** How long a request may wait for limits; 0: not at all. */
  waitMs: number;
  json: boolean;
  command: Command | undefined;
  /** Directory in which the receipt of each call is kept. */
  receipts: string | undefined;
  /** That receipts are checked with. */
  receiptKeys: TrustedKeys;
}

/** Running requests have this long to end by themselves. */
const GRACE_MS = 10_000;

const REDRAW_MS = 1_000;

/** As shells say it of what SIGINT ended: the command has not been run. */
const EXIT_INTERRUPTED = 130;

/**
 * Serves until a signal, or until the command ends.
 *
 * @returns the exit code
 * @throws CliError when there is no first token, or no port
 */
export async function serveRun(
  around: Surroundings,
  broker: BrokerClient,
  options: RunOptions,
): Promise<number> {
  const proofs = new DpopProofs(await fetchProofOrigin(broker), around.clock);
  const signals = new Signals(around);
  const run = new Run(around, broker.until(signals.second), proofs, options);
  try {
    return await run.serve(signals);
  } finally {
    await run.handBack();
    signals.stop();
  }
}

class Run {
  readonly #around: Surroundings;
  readonly #broker: BrokerClient;
  readonly #options: RunOptions;
  readonly #display: Display;
  readonly #explainer: Explainer;
  readonly #keeper: TokenKeeper;
  readonly #proofs: DpopProofs;
  /** Raised when the run is over: nobody asks any more how it goes. */
  readonly #over = new AbortController();
  readonly #receipts: ReceiptKeeper | undefined;
  #proxy: Proxy | undefined;
  #limits: RateLimits | undefined;
  #standing: Standing | undefined;
  /** Whether it was said that the standing cannot be learned. */
  #blind = false;

  constructor(around: Surroundings, broker: BrokerClient, proofs: DpopProofs, options: RunOptions) {
    this.#around = around;
    this.#broker = broker;
    this.#options = options;
    this.#display = new Display(around, options.command === undefined);
    const asking = broker.until(this.#over.signal);
    this.#explainer = new Explainer(
      (line) => this.#display.note(asTyped(around.env, line)),
      (orderId) => groundsOf(asking, orderId),
    );
    this.#receipts =
      options.receipts === undefined
        ? undefined
        : keepingReceipts(broker, options.receipts, options.receiptKeys, (line) =>
            this.#display.note(line),
          );
    this.#proofs = proofs;
    this.#keeper = new TokenKeeper(
      () => broker.requestToken(options.access, this.#proofs),
      around.clock,
      {
        renewed: () => this.#redraw(),
        failed: (error, inHand) => this.#tellNoToken(error, inHand),
      },
    );
  }

  async serve(signals: Signals): Promise<number> {
    const { port, waitMs } = this.#options;
    // First, so that no token is fetched for a port that is taken.
    const proxy = await startProxy({
      brokerUrl: this.#broker.url,
      port,
      waitMs,
      keeper: this.#keeper,
      proofs: this.#proofs,
      onRefusal: (refusal) => this.#explainer.explain(refusal),
      onLocalRefusal: (refusal) => this.#explainer.explain(refusal),
      onWait: (limit) => this.#explainer.explainWait(limit, waitMs / 1000),
      onLimits: (limits) => (this.#limits = limits),
      onEnded: (requestId) => this.#receipts?.ended(requestId),
      onChange: () => this.#redraw(),
    });
    const token = await this.#keeper.current().catch(async (error: unknown) => {
      await proxy.close();
      throw error;
    });
    this.#proxy = proxy;
    const environment = environmentFor(proxy, token.granted, this.#around.env);
    this.#print(proxy, token, environment);
    const { signal } = this.#over;
    const asking = this.#broker.until(signal);
    const watched = watchStanding(asking, token.granted.grant, signal, (standing) =>
      standing instanceof Error ? this.#tellBlind(standing) : this.#stands(standing),
    );
    const ticking = setInterval(() => this.#redraw(), REDRAW_MS);
    try {
      const { command } = this.#options;
      if (!command) {
        await signals.first;
        return 0;
      }
      if (signals.raised) return EXIT_INTERRUPTED;
      const env = applied(this.#around.env, environment);
      return await signals.leftTo(() => runCommand(this.#around, command, env));
    } finally {
      clearInterval(ticking);
      this.#over.abort();
      await watched;
      await this.#drain(proxy, signals);
    }
  }

  /** Ends what tokens there are. One that cannot be handed back now ends by itself soon. */
  async handBack(): Promise<void> {
    const tokens = await this.#keeper.stop();
    const results = await Promise.allSettled(
      tokens.map((token) => this.#broker.revokeToken(token)),
    );
    const failure = results.find((result) => result.status === 'rejected');
    this.#explainer.stop();
    this.#display.end();
    if (tokens.length === 0) return;
    if (failure)
      this.#display.note(`The token could not be handed back: ${sentenceOf(failure.reason)}`);
    else this.#display.note('The token has been handed back.');
  }

  #print(proxy: Proxy, { granted, expiresAt }: HeldToken, environment: Environment): void {
    const { url, key } = proxy;
    const { json, command } = this.#options;
    if (json) {
      printJson(this.#around, {
        url,
        key,
        environment: environment.set,
        unset: environment.unset,
        token: { expiresAt: new Date(expiresAt).toISOString(), access: granted },
      });
    } else if (!command) this.#around.out(environmentLines(proxy, granted, environment));
    this.#display.note(
      `Passing requests on from ${url} to ${this.#broker.url}, run "${granted.run}". The token is good until about ${moment(expiresAt)}, and is renewed before.${command ? '' : ' Ctrl-C ends it.'}`,
    );
  }

  /** Takes no more requests, and lets those that run end: until their time is over, or a second signal. */
  async #drain(proxy: Proxy, signals: Signals): Promise<void> {
    const { running } = proxy.counts();
    if (running > 0)
      this.#display.note(
        `Waiting for ${counted(running, 'request')} to end. A second Ctrl-C ends at once.`,
      );
    const drained = new AbortController();
    const until = AbortSignal.any([drained.signal, signals.second]);
    const waited = delay(GRACE_MS, undefined, { signal: until }).catch(() => undefined);
    await Promise.race([proxy.drain(), waited]);
    drained.abort();
    await proxy.close();
    const { total, refused } = proxy.counts();
    this.#display.end();
    const ofThem =
      refused === 0
        ? ''
        : `; ${refused.toLocaleString('en-US')} ${refused === 1 ? 'was' : 'were'} refused`;
    this.#display.note(`${counted(total, 'request')} passed on${ofThem}.`);
    if (!this.#receipts || this.#options.receipts === undefined) return;
    const kept = await this.#receipts.stop(signals.second);
    for (const line of receiptsInWords(kept, this.#options.receipts, this.#around.clock()))
      this.#display.note(asTyped(this.#around.env, line));
  }

  #stands(standing: Standing): void {
    const before = this.#standing;
    this.#standing = standing;
    this.#proxy?.allow(standing.concurrent);
    this.#blind = false;
    const had = new Set(before?.orders.map((order) => order.id));
    const has = new Set(standing.orders.map((order) => order.id));
    for (const order of standing.orders)
      if (!had.has(order.id)) this.#display.note(orderInWords(order));
    for (const orderId of had)
      if (!has.has(orderId)) this.#display.note(`The order ${orderId} is not in force any more.`);
    if (before ? before.status !== standing.status : standing.status !== 'active')
      this.#display.note(
        `The grant is ${standing.status} now${standing.reason === null ? '.' : `: ${standing.reason}`}`,
      );
    this.#redraw();
  }

  #tellBlind({ message }: Error): void {
    if (!this.#blind)
      this.#display.note(
        `How the grant stands cannot be learned now, requests pass on: ${message}`,
      );
    this.#blind = true;
  }

  #tellNoToken(error: unknown, inHand: boolean): void {
    // Without one in hand, whoever wanted one is refused, which is explained there.
    if (!inHand) return;
    const { code, message } = refusalWithoutToken(error);
    this.#explainer.explain({
      code,
      message: `The token could not be renewed: ${message} The one in hand is good for now, and it is tried again.`,
    });
  }

  #redraw(): void {
    if (!this.#proxy) return;
    const { total, running, waiting } = this.#proxy.counts();
    const state = { total, running, waiting, limits: this.#limits, standing: this.#standing };
    const now = this.#around.clock();
    const line = statusLine({ ...state, token: this.#keeper.held }, now);
    this.#display.show(line, JSON.stringify(state));
  }
}

/** The signals that end a run: the first in order, the second at once. */
class Signals {
  readonly first: Promise<void>;
  readonly second: AbortSignal;
  readonly stop: () => void;
  #raised = 0;
  #count = true;

  constructor({ onSignal }: Surroundings) {
    const atOnce = new AbortController();
    const stops: (() => void)[] = [];
    this.second = atOnce.signal;
    this.first = new Promise((resolve) => {
      const onStop = (): void => {
        if (!this.#count) return;
        this.#raised += 1;
        if (this.#raised === 1) resolve();
        else atOnce.abort();
      };
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
        stops.push(onSignal(name, onStop));
    });
    this.stop = () => {
      for (const stop of stops) stop();
    };
  }

  get raised(): boolean {
    return this.#raised > 0;
  }

  /** Leaves signals to a command, however many it takes. Its end is what the first signal is otherwise. */
  async leftTo(run: () => Promise<number>): Promise<number> {
    this.#count = false;
    try {
      return await run();
    } finally {
      this.#count = true;
      this.#raised = 1;
    }
  }
}

function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : failed(String(error)).message;
}
