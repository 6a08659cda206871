/** Says in words why requests are refused and what to do, once, however many are. */
import type { DenialCode } from '../../core/denials.ts';
import type { PassedRefusal } from './tail.ts';

const ORDER = 'Nothing passes until the order is lifted, and trying again does not help.';
const WAIT =
  'SDKs wait and try again by themselves; fewer requests at once or a longer --wait avoid it.';
const UPSTREAM = 'That is about the model endpoint, not about your access.';

/** What the broker's own sentence leaves open. Most say already what to do. */
const ADVICE: Partial<Record<DenialCode | 'local_key_missing' | 'local_key_wrong', string>> = {
  access_suspended: ORDER,
  grant_suspended: ORDER,
  lab_suspended: ORDER,
  endpoint_suspended: ORDER,
  model_suspended: ORDER,
  person_suspended: ORDER,
  request_rate_limited: WAIT,
  token_rate_limited: WAIT,
  concurrency_limited: WAIT,
  budget_in_use: WAIT,
  quota_exhausted: '"sallyport grant usage" shows what is left.',
  unknown_field: 'The grant can say that such fields pass (unknownFields).',
  upstream_unreachable: UPSTREAM,
  upstream_timeout: UPSTREAM,
  upstream_invalid: UPSTREAM,
  upstream_incomplete: UPSTREAM,
  assertion_replayed: 'Is another machine using your key?',
  invalid_client: "Is this machine's clock right?",
  invalid_dpop_proof: "Is this machine's clock right?",
  token_revoked:
    'No other token is asked for: what was ended on purpose stays ended. Start "sallyport connect" again when you may.',
  invalid_token:
    'A new one was refused as well, and no other is asked for. Tell the host lab, and start "sallyport connect" again.',
  local_key_missing:
    'If it was none of your programs, somebody else on this machine tried the port.',
  local_key_wrong: 'If it was none of your programs, somebody else on this machine tried the port.',
};

/** Refusals of what a request is, by the grant, the endpoint or the token: the broker's sentence begins with whose. */
const ABOUT_SCOPE = new Set<string>([
  'model_not_granted',
  'operation_not_granted',
  'feature_not_granted',
] satisfies DenialCode[]);

const BY_WHOM = /^The (endpoint|grant|token) /;

const SCOPE_ADVICE: Record<string, string> = {
  endpoint: '"sallyport endpoint show" says what the endpoint offers.',
  grant: '"sallyport grant show" says what the grant allows.',
  token:
    'This run asked for less than the grant allows: without --model and --max-output-tokens it gets all of it.',
};

function adviceOn({ code, message }: PassedRefusal): string | undefined {
  if (ABOUT_SCOPE.has(code)) return SCOPE_ADVICE[BY_WHOM.exec(message)?.[1] ?? 'grant'];
  return Object.hasOwn(ADVICE, code) ? ADVICE[code as keyof typeof ADVICE] : undefined;
}

/** The same reason is explained at most this often. */
const QUIET_MS = 10_000;

const ORDER_ID = /\bord_[0-9a-z]{26}\b/g;

interface Quiet {
  more: number;
  timer: NodeJS.Timeout;
}

export class Explainer {
  readonly #note: (line: string) => void;
  readonly #groundsOf: (orderId: string) => Promise<string | undefined>;
  readonly #quiet = new Map<string, Quiet>();
  readonly #waitedFor = new Set<string>();

  /** @param groundsOf why an order was issued; undefined where that cannot be learned now */
  constructor(
    note: (line: string) => void,
    groundsOf: (orderId: string) => Promise<string | undefined>,
  ) {
    this.#note = note;
    this.#groundsOf = groundsOf;
  }

  /** Explains a refusal, or counts it where the same was explained a moment ago. */
  explain(refusal: PassedRefusal): void {
    const quiet = this.#quiet.get(refusal.code);
    if (quiet) {
      quiet.more += 1;
      return;
    }
    const timer = setTimeout(() => this.#count(refusal.code), QUIET_MS).unref();
    this.#quiet.set(refusal.code, { more: 0, timer });
    void this.#tell(refusal);
  }

  /** Says that a request waits for a limit: once for each in a run, since many do where one does. */
  explainWait({ code, message }: PassedRefusal, mostSeconds: number): void {
    if (this.#waitedFor.has(code)) return;
    this.#waitedFor.add(code);
    this.#note(
      `Waiting: ${withStop(message)} (${code}) Such requests wait here and are sent again, each for at most ${mostSeconds} s in all.`,
    );
  }

  /** Tells the counts that are still open. */
  stop(): void {
    for (const [code, { timer }] of this.#quiet) {
      clearTimeout(timer);
      this.#count(code);
    }
  }

  #count(code: string): void {
    const more = this.#quiet.get(code)?.more ?? 0;
    this.#quiet.delete(code);
    if (more > 0) this.#note(`Refused ${more} more ${more === 1 ? 'time' : 'times'} (${code}).`);
  }

  async #tell(refusal: PassedRefusal): Promise<void> {
    const { code, message } = refusal;
    const advice = adviceOn(refusal);
    const ids = [...new Set(message.match(ORDER_ID))];
    const grounds = await Promise.all(ids.map((id) => this.#groundsOf(id)));
    const because = grounds
      .filter((text) => text !== undefined)
      .map((text) => ` Grounds: "${text}".`);
    this.#note(
      `Refused: ${withStop(message)} (${code})${because.join('')}${advice === undefined ? '' : ` ${advice}`}`,
    );
  }
}

const withStop = (text: string): string => (/[.!?)]$/.test(text) ? text : `${text}.`);
