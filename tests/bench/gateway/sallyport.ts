/** Sallyport as its users run it: the compiled command in a process of its own, everything switched on. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BrokerClient } from '../../../src/cli/broker-client.ts';
import { processSurroundings } from '../../../src/cli/surroundings.ts';
import { loadKeyFile } from '../../../src/lib/key-file.ts';
import { killAll, startDemo, type DemoFacts } from '../../support/broker-process.ts';
import { Program, freePort, newDirectory } from './program.ts';

const MAIN = fileURLToPath(new URL('../../../dist/main.js', import.meta.url));

/** High enough to refuse nothing; every one of them is counted, for the grant and for the person. */
const CAPS = {
  limits: { requestsPerMinute: 1e9, tokensPerMinute: 1e12, concurrent: 100_000 },
  budgets: {
    requests: 1e9,
    tokens: 1e12,
    requestsPerDay: 1e9,
    tokensPerDay: 1e12,
    spendUsd: 5_000_000,
  },
};

process.on('exit', () => void killAll());

const AROUND = processSurroundings();

/** A data directory with people and a grant, on which brokers are started. */
export class Premises {
  readonly facts: DemoFacts;

  private constructor(facts: DemoFacts) {
    this.facts = facts;
  }

  /** @param more what the grant says beside its caps */
  static async prepare(more: object = {}): Promise<Premises> {
    const directory = newDirectory();
    const grant = join(directory, 'grant.yaml');
    writeFileSync(grant, JSON.stringify({ ...CAPS, perPerson: CAPS, ...more }));
    const demo = await startDemo({ dataDir: join(directory, 'data'), grant });
    await demo.process.end('SIGTERM');
    const { facts } = demo;
    return new Premises(facts);
  }
}

export interface RunningSallyport {
  pid: number;
  port: number;
  /** For the gateway, good for an hour. */
  token: string;
  /** Calls the control API. */
  as(role: string): BrokerClient;
  close(): Promise<void>;
}

/** @param profileInto directory for CPU profiles of its threads, written when it ends */
export async function startSallyport(
  { facts }: Premises,
  upstream: string,
  profileInto?: string,
): Promise<RunningSallyport> {
  const port = await freePort();
  const config = join(newDirectory(), 'sallyport.yaml');
  writeFileSync(config, JSON.stringify(configuration(facts, upstream, port)));
  const profiling =
    profileInto === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileInto}`];
  const program = new Program(process.execPath, [...profiling, MAIN, 'serve', '--config', config], {
    directory: newDirectory(),
  });
  const url = `http://127.0.0.1:${port}`;
  await program.untilItAnswers(`${url}/readyz`);
  const as = (role: string): BrokerClient => {
    const person = facts.people.find((one) => one.role === role);
    if (!person) throw new Error(`There is no ${role}.`);
    const key = loadKeyFile(person.keyFile);
    return new BrokerClient(AROUND, { url, issuer: url, person: person.id, key });
  };
  const { access_token: token } = await as('researcher').requestToken({
    type: 'model_access',
    grant: facts.grant,
    purpose: 'hallucination',
    run: 'bench',
  });
  return { pid: program.pid, port, token, as, close: () => program.stop() };
}

/** The defaults, but for what must be said. */
function configuration({ dataDir, log, model }: DemoFacts, upstream: string, port: number): object {
  return {
    server: { port },
    dataDir,
    log: { origin: log.origin },
    endpoints: [
      {
        id: 'demo',
        description: 'The upstream of the bench',
        dialects: ['openai'],
        upstream,
        models: [model],
        safeguardsLifted: [
          { safeguard: 'output-classifier', reason: 'Its refusals hide the result', owner: 'A.' },
        ],
        prices: { inputUsdPerMillion: 3, outputUsdPerMillion: 15 },
      },
    ],
  };
}
