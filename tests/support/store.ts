/**
 * The store under test: the real SQLite database in a directory that is thrown away, either through the
 * real writer thread (from dist/, so build first) or in this thread, where a test decides what goes into
 * which commit.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createLogKey, loadLogKey } from '../../src/audit/log-key.ts';
import type { EntryDraft } from '../../src/core/audit/entry.ts';
import { DEFAULT_RULES, type AuthorityRules } from '../../src/core/authority-rules.ts';
import { RefusedError, type DenialCode } from '../../src/core/denials.ts';
import type { Grant } from '../../src/core/grants.ts';
import {
  budgetsSchema,
  limitsSchema,
  type Amount,
  type Budgets,
  type Limits,
} from '../../src/core/limits.ts';
import type { Role } from '../../src/core/people.ts';
import {
  outcomeMembers,
  requestSubject,
  type Charge,
  type RequestFacts,
  type Usage,
} from '../../src/core/requests.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { mintId } from '../../src/lib/ids.ts';
import { Store } from '../../src/store/client.ts';
import { WriterContext, type GrantSettings, type PolicyChange } from '../../src/store/context.ts';
import { DATABASE_FILE, openForWriting, withDrizzle } from '../../src/store/database.ts';
import { GroupCommit, type Call, type Committed } from '../../src/store/group-commit.ts';
import { JOURNAL_FILE, Journal } from '../../src/store/journal.ts';
import { migrate } from '../../src/store/migrations.ts';
import type { ArgsOf, OperationName, ResultOf } from '../../src/store/operations/index.ts';
import type { NewPerson } from '../../src/store/operations/people.ts';
import type { ReserveArgs } from '../../src/store/operations/requests.ts';
import { Readers } from '../../src/store/readers.ts';
import { aSpec, at as instant } from './facts.ts';

export const WRITER_THREAD = new URL('../../dist/writer.js', import.meta.url);
export const ORIGIN = 'test.example/log';

/** An empty data directory with a folder for keys. */
export function makeDataDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'sallyport-store-'));
  mkdirSync(join(path, 'keys'), { mode: 0o700 });
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Runs one operation and waits for its result, as the broker does. */
export type Write = <N extends OperationName>(name: N, args: ArgsOf<N>) => Promise<ResultOf<N>>;

/** The store through its thread. */
export interface ThreadStore {
  store: Store;
  readers: Readers;
  write: Write;
  /** The epoch after the commits that were heard of. */
  epoch(): number;
  changes: PolicyChange[];
  fatal: string[];
  close(): Promise<void>;
}

export async function openThreadStore(
  dataDir: string,
  thread: URL = WRITER_THREAD,
  settings: object = {},
): Promise<ThreadStore> {
  const store = await Store.open(
    thread,
    { dataDir, origin: ORIGIN, rules: DEFAULT_RULES, ...settings },
    systemClock,
  );
  const readers = new Readers(join(dataDir, DATABASE_FILE));
  let epoch = 0;
  const changes: PolicyChange[] = [];
  const fatal: string[] = [];
  store.subscribe({
    onPolicyChanged(some, now) {
      changes.push(...some);
      epoch = now;
    },
    onFatal: (reason) => fatal.push(reason),
  });
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= store.close().then(() => readers.close());
    return closed;
  };
  onTestFinished(close);
  const write: Write = (name, args) => store.write(name, args);
  return { store, readers, write, epoch: () => epoch, changes, fatal, close };
}

/** The writer's inside, in this thread, with a clock that the test sets. */
export class LocalWriter {
  readonly context: WriterContext;
  readonly committer: GroupCommit;
  now: number;
  readonly #journal: Journal | undefined;
  #nextCall = 1;

  /**
   * @param options.journal as the writer thread has one; without it, every commit is one of the database
   * @param options.closedByCaller for those who open thousands: whoever opens it closes it, not the test
   */
  constructor(
    dataDir: string,
    now: number,
    options: {
      journal?: boolean;
      rules?: AuthorityRules;
      grants?: GrantSettings;
      closedByCaller?: boolean;
    } = {},
  ) {
    this.now = now;
    const connection = openForWriting(join(dataDir, DATABASE_FILE));
    migrate(connection);
    // Durability is what the writer thread's tests are for; this one is for what goes into a commit.
    connection.pragma('synchronous = OFF');
    const key = join(dataDir, 'keys', 'log.pem');
    const isNew = connection.prepare("SELECT 1 FROM meta WHERE key = 'log_origin'").get();
    const logKey = isNew ? loadLogKey(key, ORIGIN) : createLogKey(key, ORIGIN);
    this.context = new WriterContext(
      withDrizzle(connection),
      logKey,
      () => this.now,
      options.rules ?? DEFAULT_RULES,
      options.grants,
    );
    if (!isNew) this.context.writeMeta('log_origin', ORIGIN);
    this.#journal = options.journal ? new Journal(join(dataDir, JOURNAL_FILE)) : undefined;
    this.committer = new GroupCommit(this.context, this.#journal);
    this.committer.takeOver();
    if (!options.closedByCaller) onTestFinished(() => this.close());
  }

  call<N extends OperationName>(name: N, args: ArgsOf<N>, notAfter = Infinity): Call {
    const id = this.#nextCall;
    this.#nextCall += 1;
    return { id, name, args, notAfter };
  }

  /** One commit of these calls. */
  commit(...calls: Call[]): Committed {
    return this.committer.commit(calls);
  }

  readonly write: Write = (name, args) => {
    const [answer] = this.commit(this.call(name, args)).answers;
    if (answer && 'value' in answer) return Promise.resolve(answer.value as never);
    if (answer && 'refused' in answer) return Promise.reject(new RefusedError(answer.refused));
    return Promise.reject(new Error(answer?.failed));
  };

  /** The entries of the log, parsed. */
  entries(): Entry[] {
    return this.context.db.$client
      .prepare('SELECT bytes FROM entries ORDER BY idx')
      .pluck()
      .all()
      .map((bytes) => JSON.parse((bytes as Buffer).toString()) as Entry);
  }

  count(table: string): number {
    return this.context.db.$client.prepare(`SELECT count(*) FROM ${table}`).pluck().get() as number;
  }

  /** Ends like a process that is killed: what is in memory is gone, what is in the files stays. */
  close(): void {
    if (!this.context.db.$client.open) return;
    this.context.db.$client.close();
    this.#journal?.close();
  }
}

/** An entry as it stands in the log. */
export type Entry = Omit<EntryDraft, 'at'> & {
  index: number;
  at: string;
  host: string;
  data?: Record<string, unknown>;
};

/** Every entry that a reader finds, parsed. */
export function entriesOf(readers: Readers): Entry[] {
  return readers
    .listEntries({ from: 0, limit: 1_000_000 })
    .map(({ bytes }) => JSON.parse(bytes.toString()) as Entry);
}

/** Labs, people and one active grant for a day, without caps. */
export interface World {
  host: string;
  admin: string;
  secondAdmin: string;
  safety: string;
  secondSafety: string;
  partner: string;
  lead: string;
  researcher: string;
  secondResearcher: string;
  grant: Grant;
}

const TERMS_DIGEST = 'd'.repeat(64);

export const by = (
  actorId: string,
  at: number,
): { actorId: string; at: number; entryId: string } => ({
  actorId,
  at,
  entryId: mintId('ent', at),
});

export function newPerson(name: string, ...roles: Role[]): NewPerson {
  const key = {
    kid: randomBytes(32).toString('base64url'),
    x: randomBytes(32).toString('base64url'),
  };
  return { id: mintId('per', Date.now()), name, roles, attributes: {}, subject: null, key };
}

export async function makeWorld(write: Write, at: number): Promise<World> {
  const first = newPerson('Ada Admin', 'admin');
  const host = mintId('lab', at);
  await write('initialise', {
    at,
    entryId: mintId('ent', at),
    lab: { id: host, name: 'Host Lab' },
    admin: first,
  });
  const admin = first.id;
  const partner = mintId('lab', at);
  await write('createLab', { by: by(admin, at), id: partner, name: 'Partner', kind: 'partner' });
  let made = 0;
  const add = async (labId: string, ...roles: Role[]): Promise<string> => {
    made += 1;
    const person = newPerson(`${roles.join(' ')} ${made}`, ...roles);
    await write('createPerson', { by: by(admin, at), labId, person });
    return person.id;
  };
  const people = {
    secondAdmin: await add(host, 'admin'),
    safety: await add(host, 'safety'),
    secondSafety: await add(host, 'safety'),
    lead: await add(partner, 'lead'),
    researcher: await add(partner, 'researcher'),
    secondResearcher: await add(partner, 'researcher'),
  };
  const world = { host, admin, partner, ...people };
  const grantId = await submitGrant(write, world, at);
  await write('approveGrant', { by: by(admin, at), grantId });
  await write('approveGrant', { by: by(people.safety, at), grantId });
  const accept = (who: string): Promise<Grant> =>
    write('acceptGrant', { by: by(who, at), grantId, termsDigest: TERMS_DIGEST });
  await accept(people.lead);
  await accept(people.researcher);
  return { ...world, grant: await accept(people.secondResearcher) };
}

/** A new grant of the lead, submitted for approval. */
export async function submitGrant(
  write: Write,
  world: Pick<World, 'partner' | 'lead' | 'researcher' | 'secondResearcher'>,
  at: number,
): Promise<string> {
  const { partner, lead, researcher, secondResearcher } = world;
  const id = mintId('grt', at);
  const spec = aSpec({
    lab: partner,
    people: [lead, researcher, secondResearcher].map((person) => ({ person })),
    window: { from: instant(at - 3_600_000), until: instant(at + 86_400_000) },
  });
  await write('createGrant', { by: by(lead, at), id, spec, termsDigest: TERMS_DIGEST });
  await write('submitGrant', { by: by(lead, at), grantId: id });
  return id;
}

export interface ReserveInput {
  epoch: number;
  at: number;
  amount?: Partial<Amount>;
  limits?: Partial<Limits>;
  budgets?: Partial<Budgets>;
  perPerson?: { limits?: Partial<Limits>; budgets?: Partial<Budgets> };
  person?: string;
  data?: ReserveArgs['data'];
}

let lastCaps = 0;

/** Arguments of a reservation under the world's grant, by its researcher unless somebody else is named. */
export function reserveArgs(world: World, input: ReserveInput): ReserveArgs {
  const { at } = input;
  const facts = factsOf(world, input);
  const { requestId, grantId, personId, labId, tokenId, stream } = facts;
  return {
    epoch: input.epoch,
    at,
    entryId: mintId('ent', at),
    facts: { requestId, grantId, personId, labId, tokenId },
    subject: requestSubject(facts),
    capsNumber: (lastCaps += 1),
    caps: JSON.stringify([
      {
        scope: 'grant',
        limits: limitsSchema.parse(input.limits ?? {}),
        budgets: budgetsSchema.parse(input.budgets ?? {}),
      },
      {
        scope: 'person',
        limits: limitsSchema.parse(input.perPerson?.limits ?? {}),
        budgets: budgetsSchema.parse(input.perPerson?.budgets ?? {}),
      },
    ]),
    amount: { tokens: 100, spendNanoUsd: 1_000, ...input.amount },
    salt: randomBytes(16).toString('base64'),
    data: input.data ?? '',
    stream,
    recordRefusal: true,
  };
}

/** Facts of a request under the world's grant. */
export function factsOf(
  world: World,
  { at, person = world.researcher }: { at: number; person?: string | undefined },
): RequestFacts {
  return {
    requestId: mintId('req', at),
    personId: person,
    labId: world.partner,
    roles: ['researcher'],
    grantId: world.grant.id,
    grantVersion: 1,
    tokenId: mintId('tok', at),
    purpose: 'hallucination',
    runId: mintId('run', at),
    operation: 'chat.completions',
    endpoint: 'demo',
    model: 'model-a-1',
    stream: false,
    features: [],
    restored: [],
  };
}

/** Arguments that settle a request: for what it used, or as never forwarded. */
export function settleArgs(
  requestId: string,
  at: number,
  used: Amount | 'not_forwarded',
): ArgsOf<'settle'> {
  const forwarded = used !== 'not_forwarded';
  const charge: Charge = forwarded
    ? { requests: 1, ...used }
    : { requests: 0, tokens: 0, spendNanoUsd: 0 };
  const source = forwarded ? 'reported' : 'none';
  const usage: Usage = { inputTokens: charge.tokens, outputTokens: 0, source };
  const result = outcomeMembers(forwarded ? 'completed' : 'not_forwarded', usage, charge);
  return { requestId, at, entryId: mintId('ent', at), charge, data: '', result };
}

/** An entry that stands alone. */
export function anEntry(at: number, changes: Partial<EntryDraft> = {}): { entry: EntryDraft } {
  const entry: EntryDraft = {
    id: mintId('ent', at),
    kind: 'audit.read',
    at,
    actor: { system: 'broker' },
    ...changes,
  };
  return { entry };
}

/** How many of some promises succeeded, and how many were refused for which reason. */
export async function tally(
  promises: Promise<unknown>[],
): Promise<Partial<Record<DenialCode | 'passed', number>>> {
  const counts: Partial<Record<DenialCode | 'passed', number>> = {};
  for (const result of await Promise.allSettled(promises)) {
    if (result.status === 'rejected' && !(result.reason instanceof RefusedError))
      throw result.reason;
    const outcome =
      result.status === 'fulfilled' ? 'passed' : (result.reason as RefusedError).refusal.code;
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
  return counts;
}
