/** One run from its first token to the handing back of its last. */
import { setTimeout as delay } from 'node:timers/promises';
import type { BrokerClient } from '../broker-client.ts';
import { counted, moment, printJson } from '../output.ts';
import { failed } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
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
  json: boolean;
  command: Command | undefined;
}

/** Running requests have this long to end by themselves. */
const GRACE_MS = 10_000;

const REDRAW_MS = 1_000;

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
  const signals = new Signals(around);
  const run = new Run(around, broker.until(signals.second), options);
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
  #proxy: Proxy | undefined;
  #limits: RateLimits | undefined;
  #standing: Standing | undefined;

  constructor(around: Surroundings, broker: BrokerClient, options: RunOptions) {
    this.#around = around;
    this.#broker = broker;
    this.#options = options;
    this.#display = new Display(around, options.command === undefined);
    const asking = broker.until(this.#over.signal);
    this.#explainer = new Explainer(
      (line) => this.#display.note(line),
      (orderId) => groundsOf(asking, orderId),
    );
    this.#proofs = new DpopProofs(around.clock);
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
    const token = await this.#keeper.current();
    const proxy = await startProxy({
      brokerUrl: this.#broker.url,
      port: this.#options.port,
      keeper: this.#keeper,
      proofs: this.#proofs,
      onRefusal: (refusal) => this.#explainer.explain(refusal),
      onLocalRefusal: (refusal) => this.#explainer.explain(refusal),
      onLimits: (limits) => (this.#limits = limits),
      onChange: () => this.#redraw(),
    });
    this.#proxy = proxy;
    const environment = environmentFor(proxy, token.granted, this.#around.env);
    this.#print(proxy, token, environment);
    const { signal } = this.#over;
    const asking = this.#broker.until(signal);
    const watched = watchStanding(asking, token.granted.grant, signal, (standing) =>
      this.#stands(standing),
    );
    const ticking = setInterval(() => this.#redraw(), REDRAW_MS);
    try {
      const { command } = this.#options;
      if (command)
        return await runCommand(this.#around, command, applied(this.#around.env, environment));
      await signals.first;
      return 0;
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
    const { total } = proxy.counts();
    this.#display.end();
    this.#display.note(`${counted(total, 'request')} passed on.`);
  }

  #stands(standing: Standing): void {
    const before = this.#standing;
    this.#standing = standing;
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
    const { total, running } = this.#proxy.counts();
    const state = { total, running, limits: this.#limits, standing: this.#standing };
    const now = this.#around.clock();
    const line = statusLine({ ...state, token: this.#keeper.held }, now);
    this.#display.show(line, JSON.stringify(state));
  }
}

/** The signals that end a run: the first in order, the second at once. A command gets them, too. */
class Signals {
  readonly first: Promise<void>;
  readonly second: AbortSignal;
  readonly stop: () => void;

  constructor({ onSignal }: Surroundings) {
    const atOnce = new AbortController();
    const stops: (() => void)[] = [];
    this.second = atOnce.signal;
    this.first = new Promise((resolve) => {
      let seen = 0;
      const onStop = (): void => {
        seen += 1;
        if (seen === 1) resolve();
        else atOnce.abort();
      };
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
        stops.push(onSignal(name, onStop));
    });
    this.stop = () => {
      for (const stop of stops) stop();
    };
  }
}

function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : failed(String(error)).message;
}
