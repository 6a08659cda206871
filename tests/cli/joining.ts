/** A lead who invites, and machines on which people join. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { vi } from 'vitest';
import { readProfiles, type Profile } from '../../src/cli/profiles.ts';
import type { Grant } from '../../src/core/grants.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { makePeople, type People, type TestPerson } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { newCli, type Cli } from './run-cli.ts';

interface Invited {
  id: string;
  link: string;
}

export class Joining {
  readonly test: TestBroker;
  readonly people: People;
  /** With room for whoever is invited. */
  readonly grant: Grant;
  readonly #machines: Cli[] = [];
  #lead: Cli | undefined;
  #invited = 0;

  private constructor(test: TestBroker, people: People, grant: Grant) {
    this.test = test;
    this.people = people;
    this.grant = grant;
  }

  static async start(): Promise<Joining> {
    const test = await startTestBroker();
    const people = await makePeople(test);
    const joining = new Joining(
      test,
      people,
      await makeActiveGrant(test, people, { maxPeople: 50 }),
    );
    joining.#lead = await joining.#machineOf(people.lead);
    return joining;
  }

  /** The lead's machine. */
  get lead(): Cli {
    if (!this.#lead) throw new Error('There is no lead yet.');
    return this.#lead;
  }

  /** A machine that knows no broker yet. */
  newMachine(around: Parameters<typeof newCli>[0] = {}): Cli {
    const cli = newCli(around);
    this.#machines.push(cli);
    return cli;
  }

  invite(...more: string[]): Promise<Invited> {
    this.#invited += 1;
    const who = ['--name', `New ${this.#invited}`, '--role', 'researcher'];
    return this.lead.json('person', 'invite', '--lab', this.people.partner.id, ...who, ...more);
  }

  async close(): Promise<void> {
    await this.test.close();
    for (const cli of this.#machines) cli.remove();
  }

  async #machineOf(person: TestPerson): Promise<Cli> {
    const cli = this.newMachine();
    const key = join(cli.folder, 'key.pem');
    const pem = person.privateKey.export({ type: 'pkcs8', format: 'pem' });
    writeFileSync(key, pem, { mode: 0o600 });
    await cli.json('login', '--url', this.test.url, '--person', person.id, '--key', key);
    return cli;
  }
}

/** The key files that were made on a machine. */
export function keysOf({ env }: Cli): string[] {
  const folder = join(env['SALLYPORT_HOME'] ?? '', 'keys');
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
}

/** The profile, which has a key. */
export function profileOf({ env }: Cli, name = 'default'): Extract<Profile, { key: string }> {
  const profile = readProfiles(env).profiles[name];
  if (!profile || !('key' in profile)) throw new Error(`There is no profile ${name} with a key.`);
  return profile;
}

const urlOf = (input: Parameters<typeof fetch>[0]): string =>
  input instanceof Request ? input.url : input.toString();

/** Requests of this method to this path fail before they are sent. */
export function loseRequests(method: string, path: RegExp, code = 'ECONNREFUSED'): void {
  const real = globalThis.fetch;
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    if ((init?.method ?? 'GET') !== method || !path.test(urlOf(input))) return real(input, init);
    throw new TypeError('fetch failed', { cause: { code } });
  });
}

/** A request of this method to this path arrives, but its answer does not: the next one, or one after it. */
export function loseAnswer(method: string, path: RegExp, after = 0): void {
  const real = globalThis.fetch;
  let left = after;
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    const response = await real(input, init);
    if ((init?.method ?? 'GET') !== method || !path.test(urlOf(input))) return response;
    left -= 1;
    if (left >= 0) return response;
    vi.mocked(globalThis.fetch).mockImplementation(real);
    await response.body?.cancel();
    throw new TypeError('fetch failed', { cause: { code: 'ECONNRESET' } });
  });
}
