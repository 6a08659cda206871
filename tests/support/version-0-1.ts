/** A data directory as version 0.1.0 left it: by its schema alone, with rows and entries in its words. */
import { DEFAULT_RULES } from '../../src/core/authority-rules.ts';
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLogKey } from '../../src/audit/log-key.ts';
import type { EntryDraft, Json } from '../../src/core/audit/entry.ts';
import { mintId } from '../../src/lib/ids.ts';
import { createKeyFile } from '../../src/lib/key-file.ts';
import { verificationKey } from '../../src/oauth/signing-key.ts';
import { WriterContext } from '../../src/store/context.ts';
import {
  DATABASE_FILE,
  openForWriting,
  withDrizzle,
  type SqliteConnection,
} from '../../src/store/database.ts';
import { publishCheckpoint } from '../../src/store/operations/log.ts';
import { ORIGIN } from './store.ts';
import type { TestPerson } from './people.ts';
import { withStrayBits } from './stray-bits.ts';

const SCHEMA = new URL('../../migrations/sqlite/0001_initial.sql', import.meta.url);

export interface OldData {
  admin: TestPerson;
  safety: TestPerson;
  auditor: TestPerson;
  lead: TestPerson;
  researcher: TestPerson;
  /** Their key has stray bits, which 0.1.0 took. */
  stray: TestPerson;
  grant: string;
  /** What is left of `model-b-1` by an order in force. */
  order: string;
  /** Ids, times in epoch milliseconds on whole seconds. */
  tokens: Record<'gateway' | 'control', { id: string; issuedAt: number; expiresAt: number }>;
  run: string;
  /** Used by the researcher. */
  jti: string;
  /** Signs tokens. */
  tokenKey: { kid: string; privateKey: KeyObject };
  /** The log so far, and its last checkpoint. */
  entries: Buffer[];
  checkpoint: string;
}

/** A request under the grant, as version 0.1.0 left it. */
export interface OldRequest {
  person: TestPerson;
  admittedAt: number;
  tokens: number;
  /** Open ones were in flight when the broker died: they are charged what they reserved. */
  state: 'open' | 'settled' | 'unknown';
  /** 0 where it was never forwarded. */
  requests: 0 | 1;
}

/**
 * Fills an empty directory, as a broker of 0.1.0 that ran at `now`, epoch milliseconds.
 *
 * @param requests behind all the rest, each with its entries in the log
 */
export function makeOldData(
  dataDir: string,
  now: number,
  requests: (people: OldData) => OldRequest[] = () => [],
): OldData & { requests: string[] } {
  mkdirSync(join(dataDir, 'keys'), { mode: 0o700 });
  const connection = openForWriting(join(dataDir, DATABASE_FILE));
  connection.exec(readFileSync(SCHEMA, 'utf8'));
  connection.pragma('user_version = 1');
  try {
    const broker = new OldBroker(connection, dataDir, now);
    const old = broker.fill();
    const ids = requests(old).map((request) => broker.request(old, request));
    broker.charge();
    return { ...old, requests: ids };
  } finally {
    connection.close();
  }
}

/** What is known of everybody but the first admin. */
const ATTRIBUTES = { team: 'red' };

class OldBroker {
  readonly #connection: SqliteConnection;
  readonly #dataDir: string;
  readonly #now: number;
  readonly #context: WriterContext;

  constructor(connection: SqliteConnection, dataDir: string, now: number) {
    this.#connection = connection;
    this.#dataDir = dataDir;
    this.#now = now;
    const logKey = createLogKey(join(dataDir, 'keys', 'log.pem'), ORIGIN);
    // How entries are put into the log, and how it is signed, has not changed since.
    this.#context = new WriterContext(withDrizzle(connection), logKey, () => now, DEFAULT_RULES);
  }

  fill(): OldData {
    const tokenKey = this.#tokenKey();
    this.#insert('meta', { key: 'log_origin', value: ORIGIN });
    const host = mintId('lab', this.#now);
    const partner = mintId('lab', this.#now);
    const admin = this.#initialise(host);
    const by = actorOf(admin);
    this.#insert('labs', { id: partner, kind: 'partner', name: 'Partner', created_at: this.#now });
    const data = { name: 'Partner', labKind: 'partner' };
    this.#append('lab.created', { actor: by, ref: partner, lab: partner, data });
    const add = (lab: string, name: string, role: string, stray = false): TestPerson =>
      this.#person(admin, lab, name, role, stray);
    const safety = add(host, 'Sol Safety', 'safety');
    const auditor = add(host, 'Kim Auditor', 'auditor');
    const lead = add(partner, 'Lee Lead', 'lead');
    const researcher = add(partner, 'Rio Researcher', 'researcher');
    const stray = add(partner, 'Stray Researcher', 'researcher', true);
    const grant = this.#grant(lead, researcher, [admin, safety]);
    const tokens = this.#tokens(researcher, grant);
    const order = this.#order(safety);
    publishCheckpoint.run(this.#context, { at: this.#now });
    const read = (sql: string): unknown[] => this.#connection.prepare(sql).pluck().all();
    return {
      admin,
      safety,
      auditor,
      lead,
      researcher,
      stray,
      grant,
      order,
      ...tokens,
      tokenKey,
      entries: read('SELECT bytes FROM entries ORDER BY idx') as Buffer[],
      checkpoint: read('SELECT note FROM checkpoints')[0] as string,
    };
  }

  #tokenKey(): OldData['tokenKey'] {
    const privateKey = createKeyFile(join(this.#dataDir, 'keys', 'token.pem'));
    const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
    return { kid: verificationKey(x as string).kid, privateKey };
  }

  #initialise(host: string): TestPerson {
    this.#context.writeMeta('host_lab', host);
    this.#insert('labs', { id: host, kind: 'host', name: 'Host Lab', created_at: this.#now });
    const admin = this.#insertPerson(host, 'Ada Admin', 'admin', false);
    const { id: person, name, roles, kid } = admin;
    const data = { name: 'Host Lab', admin: name, roles, kid };
    this.#append('system.initialised', { actor: { system: 'broker' }, lab: host, person, data });
    return admin;
  }

  #person(by: TestPerson, lab: string, name: string, role: string, stray: boolean): TestPerson {
    const person = this.#insertPerson(lab, name, role, stray);
    const { id, roles, kid } = person;
    const data = { name, roles, attributes: ATTRIBUTES, kid };
    this.#append('person.created', { actor: actorOf(by), ref: id, lab, person: id, data });
    return person;
  }

  #insertPerson(labId: string, name: string, role: string, stray: boolean): TestPerson {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const own = publicKey.export({ format: 'jwk' }).x as string;
    const x = stray ? withStrayBits(own) : own;
    const { kid } = verificationKey(x);
    const id = mintId('per', this.#now);
    const roles = JSON.stringify([role]);
    // The first admin has none.
    const attributes = JSON.stringify(role === 'admin' ? {} : ATTRIBUTES);
    const times = { created_at: this.#now, removed_at: null };
    this.#insert('people', { id, lab_id: labId, name, roles, attributes, ...times });
    const added = { added_at: this.#now, removed_at: null };
    this.#insert('person_keys', { kid, person_id: id, x, ...added });
    const jwk = { kty: 'OKP', crv: 'Ed25519', x } as const;
    return { id, labId, name, roles: [role as 'lead'], privateKey, publicKey: jwk, kid };
  }

  #grant(lead: TestPerson, researcher: TestPerson, approvers: TestPerson[]): string {
    const id = mintId('grt', this.#now);
    const spec = specOf(lead, researcher, this.#now);
    const termsDigest = createHash('sha256').update(spec.terms.text).digest('hex');
    const [at, of] = [this.#now, { grant_id: id, version: 1 }];
    this.#insert('grants', {
      id,
      lab_id: lead.labId,
      state: 'active',
      version: 1,
      accepted_for_lab_by: lead.id,
      created_at: at,
      updated_at: at,
    });
    this.#insert('grant_versions', {
      ...of,
      author_id: lead.id,
      spec: JSON.stringify(spec),
      terms_digest: termsDigest,
      created_at: at,
    });
    const step = (kind: EntryDraft['kind'], by: TestPerson, data: Record<string, Json>): void => {
      const about = { ref: id, lab: lead.labId, grant: id, grantVersion: 1 };
      this.#append(kind, { actor: actorOf(by), ...about, data });
    };
    const recorded = { ...spec, terms: { version: spec.terms.version } };
    step('grant.created', lead, { spec: recorded, termsDigest });
    step('grant.submitted', lead, { state: 'submitted' });
    for (const [i, by] of approvers.entries()) {
      const as = by.roles[0] as string;
      this.#insert('grant_approvals', { ...of, approved_as: as, person_id: by.id, at });
      step('grant.approved', by, { state: i === 0 ? 'submitted' : 'approved', as });
    }
    for (const by of [lead, researcher]) {
      const accepted = { grant_id: id, terms_digest: termsDigest, person_id: by.id, at };
      this.#insert('grant_acceptances', accepted);
      step('grant.terms_accepted', by, { state: 'active', termsDigest, forLab: by === lead });
    }
    return id;
  }

  #tokens(researcher: TestPerson, grant: string): Pick<OldData, 'tokens' | 'run' | 'jti'> {
    const { id: person, labId: lab, kid } = researcher;
    const run = mintId('run', this.#now);
    const issuedAt = Math.floor(this.#now / 1000) * 1000;
    const named = { purpose: 'hallucination', name: 'before' };
    const ofRun = { id: run, grant_id: grant, ...named };
    this.#insert('runs', { ...ofRun, person_id: person, created_at: issuedAt });
    const issue = (
      audience: 'gateway' | 'control',
      minutes: number,
    ): OldData['tokens']['control'] => {
      const token = {
        id: mintId('tok', this.#now),
        issuedAt,
        expiresAt: issuedAt + minutes * 60_000,
      };
      const isForModels = audience === 'gateway';
      this.#insert('tokens', {
        id: token.id,
        audience,
        person_id: person,
        lab_id: lab,
        kid,
        grant_id: isForModels ? grant : null,
        grant_version: isForModels ? 1 : null,
        purpose: isForModels ? 'hallucination' : null,
        run_id: isForModels ? run : null,
        issued_at: issuedAt,
        expires_at: token.expiresAt,
        revoked_at: null,
      });
      const expiresAt = new Date(token.expiresAt).toISOString();
      this.#append('token.issued', {
        at: issuedAt,
        actor: actorOf(researcher),
        ref: token.id,
        lab,
        person,
        token: token.id,
        ...(isForModels ? { grant, grantVersion: 1, purpose: 'hallucination' as const, run } : {}),
        data: { audience, expiresAt, kid, ...(isForModels ? { runName: 'before' } : {}) },
      });
      return token;
    };
    const jti = 'used-with-version-0.1.0';
    this.#insert('used_assertions', { issuer: person, jti, expires_at: this.#now + 90_001 });
    return { tokens: { gateway: issue('gateway', 15), control: issue('control', 10) }, run, jti };
  }

  #order(by: TestPerson): string {
    const id = mintId('ord', this.#now);
    const spec = {
      level: 4,
      selector: { model: 'model-b-1' },
      grounds: 'It answers too much.',
      authority: 'safety officer of the host lab',
    };
    const lift = { lifted_by: null, lifted_at: null, lift_grounds: null };
    const issued = { issued_by: by.id, issued_at: this.#now };
    this.#insert('orders', { id, spec: JSON.stringify(spec), ...issued, ...lift });
    this.#append('order.issued', { actor: actorOf(by), ref: id, orders: [id], data: spec });
    return id;
  }

  /** @returns its id */
  request(old: OldData, { person, admittedAt, tokens, state, requests }: OldRequest): string {
    const id = mintId('req', admittedAt);
    const [token, lab, grant] = [old.tokens.gateway.id, person.labId, old.grant];
    this.#insert('requests', {
      id,
      grant_id: grant,
      person_id: person.id,
      token_id: token,
      state,
      admitted_at: admittedAt,
      settled_at: state === 'open' ? null : admittedAt,
      requests,
      tokens_reserved: tokens,
      spend_reserved_nano: 0,
      tokens_charged: tokens,
      spend_charged_nano: 0,
      intent: '{}',
      salt: Buffer.alloc(16),
    });
    const about = {
      actor: actorOf(person),
      ref: id,
      lab,
      person: person.id,
      grant,
      grantVersion: 1,
      token,
      purpose: 'hallucination',
      run: old.run,
      endpoint: 'demo',
      model: 'model-a-1',
      operation: 'chat.completions',
    } as const;
    const reserved = { tokens, spendNanoUsd: 0 };
    const data = { stream: false, reserved };
    this.#append('request.intent', { ...about, decision: 'allowed', data });
    const charged = { requests, ...reserved };
    const end = requests === 0 ? 'not_forwarded' : 'completed';
    if (state !== 'open') this.#append('request.outcome', { ...about, data: { end, charged } });
    return id;
  }

  /** What requests were charged: by the grant as a whole, and by person. */
  charge(): void {
    for (const person of ["''", 'person_id'])
      this.#connection.exec(
        `INSERT INTO charges
           SELECT grant_id, ${person}, sum(iif(state = 'open', 0, requests)), sum(iif(state = 'open', 1, 0)),
             sum(iif(state = 'open', 0, tokens_charged)), sum(iif(state = 'open', tokens_reserved, 0)), 0, 0
           FROM requests GROUP BY 1, 2`,
      );
  }

  #insert(table: string, row: Record<string, unknown>): void {
    const names = Object.keys(row);
    const values = names.map((name) => `@${name}`);
    this.#connection
      .prepare(`INSERT INTO ${table} (${names.join()}) VALUES (${values.join()})`)
      .run(row);
  }

  #append(
    kind: EntryDraft['kind'],
    draft: Omit<EntryDraft, 'id' | 'kind' | 'at'> & { at?: number },
  ): void {
    this.#context.append({ id: mintId('ent', this.#now), kind, at: this.#now, ...draft });
  }
}

const actorOf = ({ id, labId, roles }: TestPerson): EntryDraft['actor'] => ({
  person: id,
  lab: labId,
  roles,
});

const OFF =
  'tools hostedTools images files audio logprobs logitBias structuredOutput reasoning prefill stateful';

/** Every member that 0.1.0 put into the text of a grant, and none that came later. */
function specOf(lead: TestPerson, researcher: TestPerson, now: number) {
  const limits = { requestsPerMinute: null, tokensPerMinute: null, concurrent: null };
  const daily = { requestsPerDay: null, tokensPerDay: null };
  const budgets = { requests: null, tokens: null, ...daily, spendUsd: null };
  return {
    title: 'Red-teaming of model A',
    lab: lead.labId,
    endpoints: [{ endpoint: 'demo', models: ['model-a-1', 'model-b-1'] }],
    operations: ['chat.completions', 'messages', 'models'],
    features: {
      streaming: true,
      systemPrompt: true,
      ...Object.fromEntries(OFF.split(' ').map((feature) => [feature, false])),
      n: 1,
      maxOutputTokens: 1000,
      betaHeaders: [],
    },
    purposes: { allowed: ['hallucination', 'scheming'], excluded: ['privacy_leakage'] },
    people: [{ person: lead.id }, { person: researcher.id }],
    limits,
    budgets,
    perPerson: { limits, budgets },
    networks: null,
    binding: 'none',
    transcripts: 'digest',
    unknownFields: 'refuse',
    window: {
      from: new Date(now - 3_600_000).toISOString(),
      until: new Date(now + 86_400_000).toISOString(),
    },
    tokenLifetimeSeconds: 900,
    terms: { version: '1', text: 'Results stay between the two labs.' },
  };
}
