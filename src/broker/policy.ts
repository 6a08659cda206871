/**
 * What the proxied path decides on, in memory. It is changed only by what a commit of the store changed,
 * before anybody hears of that commit's result, so there is nothing to expire and nothing to refresh.
 */
import type { Grant } from '../core/grants.ts';
import type { Endpoint } from '../core/endpoints.ts';
import type { Order } from '../core/orders/order.ts';
import { partsOf, type Selector } from '../core/orders/selector.ts';
import type { Lab, Member, Person } from '../core/people.ts';
import type { LiveToken, PolicyChange } from '../store/context.ts';
import type { PolicyRecords } from '../store/readers.ts';

export class Policy {
  readonly #labs = new Map<string, Lab>();
  readonly #people = new Map<string, Person>();
  readonly #grants = new Map<string, Grant>();
  /** In force, oldest first. Replaced at every change, so that whoever holds it has a whole state. */
  #orders: readonly Order[];
  readonly #tokens = new Map<string, LiveToken>();
  /** Ids of tokens by person; what is over leaves when somebody counts, or with the token itself. */
  readonly #tokensOf = new Map<string, Set<string>>();
  /** Lab ids by the issuer that a lab is registered with. */
  readonly #issuers = new Map<string, string>();
  /** Person ids by what their lab calls them. */
  readonly #subjects = new Map<string, string>();
  #epoch: number;
  readonly #endpoints: ReadonlyMap<string, Pick<Endpoint, 'safeguardsLifted'>>;

  /** @param endpoints as configured: where each safeguard is lifted */
  constructor(
    records: PolicyRecords,
    epoch: number,
    endpoints: ReadonlyMap<string, Pick<Endpoint, 'safeguardsLifted'>>,
  ) {
    this.#endpoints = endpoints;
    for (const lab of records.labs) this.#setLab(lab);
    for (const person of records.people) this.#setPerson(person);
    for (const grant of records.grants) this.#grants.set(grant.id, grant);
    this.#orders = records.ordersInForce.map((order) => this.#located(order));
    for (const token of records.liveTokens) this.#setToken(token);
    this.#epoch = epoch;
  }

  /** Which state of the policy this is. What was decided at one epoch is not written at another. */
  get epoch(): number {
    return this.#epoch;
  }

  apply(changes: readonly PolicyChange[], epoch: number): void {
    for (const change of changes) {
      switch (change.kind) {
        case 'lab':
          this.#setLab(change.value);
          break;
        case 'person':
          this.#setPerson(change.value);
          break;
        case 'grant':
          this.#grants.set(change.value.id, change.value);
          break;
        case 'order':
          this.#orders = this.#orders.filter((order) => order.id !== change.value.id);
          if (change.value.endedAt === null)
            this.#orders = [...this.#orders, this.#located(change.value)].sort(byId);
          break;
        case 'token':
          this.#setToken(change.value);
          break;
        case 'tokens_ended':
          this.#endTokens(change.ids, change.at);
          break;
        case 'key':
          // The key ring's.
          break;
      }
    }
    this.#epoch = epoch;
  }

  lab(id: string): Lab | undefined {
    return this.#labs.get(id);
  }

  /** All of them. */
  labs(): Iterable<Lab> {
    return this.#labs.values();
  }

  /** The lab that is registered with an issuer. */
  labByIssuer(issuer: string): Lab | undefined {
    return this.#labs.get(this.#issuers.get(issuer) ?? '');
  }

  /** All of them, removed or not. */
  people(): Iterable<Person> {
    return this.#people.values();
  }

  person(id: string): Person | undefined {
    return this.#people.get(id);
  }

  /** Whom a lab means by a subject: who is registered with it, or has no other than their id. Nobody removed. */
  personBySubject(labId: string, subject: string): Person | undefined {
    return this.#people.get(this.#subjects.get(subjectKey(labId, subject)) ?? '');
  }

  member(personId: string): Member | undefined {
    const person = this.#people.get(personId);
    const lab = person && this.#labs.get(person.labId);
    return person && lab && { person, lab };
  }

  grant(id: string): Grant | undefined {
    return this.#grants.get(id);
  }

  /** All of them, in whatever state. */
  grants(): Iterable<Grant> {
    return this.#grants.values();
  }

  /** The grants of a lab, in whatever state. */
  grantsOf(labId: string): Grant[] {
    return [...this.#grants.values()].filter((grant) => grant.spec.lab === labId);
  }

  token(id: string): LiveToken | undefined {
    return this.#tokens.get(id);
  }

  /** Those that the proxied path knows, also of the control API, ended or not. */
  tokens(): Iterable<LiveToken> {
    return this.#tokens.values();
  }

  /** The orders in force, oldest first. */
  get orders(): readonly Order[] {
    return this.#orders;
  }

  /** Whether fewer than `most` tokens of a person are live, of either audience. */
  hasFewerTokens(personId: string, most: number, now: number): boolean {
    const ids = this.#tokensOf.get(personId);
    // Those that are over are taken out only where they make the difference: this is asked for each token.
    if (!ids || ids.size < most) return most > 0;
    for (const id of ids) {
      const token = this.#tokens.get(id);
      if (!token || token.expiresAt <= now || token.revokedAt !== null) ids.delete(id);
    }
    if (ids.size === 0) this.#tokensOf.delete(personId);
    return ids.size < most;
  }

  /** The order with where the safeguard that it selects by is lifted. */
  #located(order: Order): Order {
    return { ...order, safeguardAt: this.safeguardAt(order.selector) };
  }

  /** Endpoints at which the safeguard of a selector is lifted; null: it names none. */
  safeguardAt(selector: Selector): string[] | null {
    const { safeguard: wanted } = partsOf(selector);
    if (wanted === undefined) return null;
    return [...this.#endpoints]
      .filter(([, { safeguardsLifted }]) =>
        safeguardsLifted.some(({ safeguard }) => safeguard === wanted),
      )
      .map(([id]) => id);
  }

  #setToken(token: LiveToken): void {
    this.#tokens.set(token.id, token);
    const ids = this.#tokensOf.get(token.personId);
    if (ids) ids.add(token.id);
    else this.#tokensOf.set(token.personId, new Set([token.id]));
  }

  #endTokens(ids: string[], at: number): void {
    for (const id of ids) {
      const token = this.#tokens.get(id);
      if (token) this.#tokens.set(id, { ...token, revokedAt: at });
    }
  }

  #setLab(lab: Lab): void {
    const before = this.#labs.get(lab.id)?.identity?.issuer;
    if (before !== undefined && this.#issuers.get(before) === lab.id) this.#issuers.delete(before);
    if (lab.identity) this.#issuers.set(lab.identity.issuer, lab.id);
    this.#labs.set(lab.id, lab);
  }

  #setPerson(person: Person): void {
    const key = subjectKey(person.labId, person.subject ?? person.id);
    if (person.removedAt === null) this.#subjects.set(key, person.id);
    // Somebody new may have the subject by now.
    else if (this.#subjects.get(key) === person.id) this.#subjects.delete(key);
    this.#people.set(person.id, person);
  }

  /** Forgets tokens that expired before a moment: no stream that began with one can be running any more. */
  forgetTokensExpiredBefore(moment: number): void {
    for (const token of this.#tokens.values()) {
      if (token.expiresAt >= moment) continue;
      this.#tokens.delete(token.id);
      const ids = this.#tokensOf.get(token.personId);
      ids?.delete(token.id);
      if (ids?.size === 0) this.#tokensOf.delete(token.personId);
    }
  }
}

const subjectKey = (labId: string, subject: string): string => `${labId} ${subject}`;

const byId = (a: Order, b: Order): number => (a.id < b.id ? -1 : 1);
