/** The `sallyport` command as a process of its own: as users start it, and as machines kill it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BrokerClient } from '../../src/cli/broker-client.ts';
import { processSurroundings } from '../../src/cli/surroundings.ts';
import { loadKeyFile } from '../../src/lib/key-file.ts';

/** The compiled command, so build first (`npm test` does). */
const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/** Long enough for the slowest machine; a test that waits so long has failed. */
const PATIENCE_MS = 20_000;

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
}

/** One process: what it said so far, and how it ended. */
export class Running {
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #said = { stdout: '', stderr: '' };
  readonly #watchers = new Set<() => void>();
  #exit: Exit | undefined;

  constructor(args: readonly string[], { cwd, env }: RunOptions = {}) {
    this.#child = spawn(process.execPath, [MAIN, ...args], {
      cwd,
      env: { PATH: process.env['PATH'] ?? '', HOME: tmpdir(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const name of ['stdout', 'stderr'] as const) {
      this.#child[name]?.setEncoding('utf8').on('data', (text: string) => {
        this.#said[name] += text;
        for (const look of this.#watchers) look();
      });
    }
    this.exited = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      // "close" comes after the last of its output, "exit" may not.
      this.#child.once('close', (code, signal) => {
        this.#exit = { code, signal };
        for (const look of this.#watchers) look();
        resolve(this.#exit);
      });
    });
    running.add(this);
    this.exited.then(
      () => running.delete(this),
      () => running.delete(this),
    );
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get stdout(): string {
    return this.#said.stdout;
  }

  get stderr(): string {
    return this.#said.stderr;
  }

  get hasExited(): boolean {
    return this.#exit !== undefined;
  }

  /** Waits until `look` finds something in what it said. Rejects when it ends before, with what it said. */
  until<T>(look: (said: { stdout: string; stderr: string }) => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(watcher);
      };
      const fail = (why: string): void => {
        done();
        reject(new Error(`${why}\nstdout: ${this.stdout}\nstderr: ${this.stderr}`));
      };
      const watcher = (): void => {
        const found = look(this.#said);
        if (found !== undefined) {
          done();
          resolve(found);
        } else if (this.#exit) fail(`It ended first, with code ${this.#exit.code}.`);
      };
      const timer = setTimeout(
        () => fail(`It did not say that within ${PATIENCE_MS} ms.`),
        PATIENCE_MS,
      );
      this.#watchers.add(watcher);
      watcher();
    });
  }

  signal(name: NodeJS.Signals): void {
    try {
      if (!this.#exit) process.kill(this.pid, name);
    } catch (error) {
      // It has just ended, and its output is still on the way.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  /** Sends a signal and waits for the end. */
  end(name: NodeJS.Signals): Promise<Exit> {
    this.signal(name);
    return this.exited;
  }
}

const running = new Set<Running>();
const directories: string[] = [];

/** Kills what a test left running. */
export async function killAll(): Promise<void> {
  await Promise.all([...running].map((one) => one.end('SIGKILL')));
}

/** Kills what a test left running and removes its directories. For `afterEach`. */
export async function cleanUp(): Promise<void> {
  await killAll();
  for (const path of directories.splice(0)) rmSync(path, { recursive: true, force: true });
}

/** A new directory (mode 0700), removed after the test. */
export function newDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'sallyport-e2e-'));
  directories.push(path);
  return path;
}

export interface Finished extends Exit {
  stdout: string;
  stderr: string;
}

/** Runs a command to its end. One that does not end is killed. */
export async function runCommand(
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const process = new Running(args, options);
  const timer = setTimeout(() => process.signal('SIGKILL'), PATIENCE_MS);
  const exit = await process.exited;
  clearTimeout(timer);
  return { ...exit, stdout: process.stdout, stderr: process.stderr };
}

/** What `demo --serve --json` prints. */
export interface DemoFacts {
  url: string;
  token: string;
  grant: string;
  model: string;
  purpose: string;
  person: string;
  dataDir: string;
  log: { origin: string; verifierKey: string };
  labs: { id: string; kind: string; name: string }[];
  people: { id: string; lab: string; name: string; role: string; keyFile: string }[];
}

export interface DemoOptions {
  dataDir: string;
  /** Base URL of the protected model; without one, the built-in demo model answers. */
  upstream?: string;
  /** The file for `--grant`. */
  grant?: string;
}

/** Arguments of a demo on a port of its own. */
export function demoArguments({ dataDir, upstream, grant }: DemoOptions): string[] {
  return [
    'demo',
    '--serve',
    '--json',
    '--port',
    '0',
    '--data',
    dataDir,
    ...(upstream === undefined ? [] : ['--upstream', upstream]),
    ...(grant === undefined ? [] : ['--grant', grant]),
  ];
}

/** Starts `demo --serve` and waits until it serves. */
export async function startDemo(
  options: DemoOptions,
): Promise<{ process: Running; facts: DemoFacts }> {
  const process = new Running(demoArguments(options));
  const line = await process.until(({ stdout }) => /^(.*)\n/.exec(stdout)?.[1]);
  return { process, facts: JSON.parse(line) as DemoFacts };
}

/** Writes a grant file for `--grant`. JSON is YAML. */
export function writeGrantFile(grant: object): string {
  const path = join(newDirectory(), 'grant.yaml');
  writeFileSync(path, JSON.stringify(grant));
  return path;
}

/** Starts `serve --config` and waits until it listens. */
export async function startServe(
  config: string,
  options: RunOptions = {},
): Promise<{ process: Running; url: string }> {
  const process = new Running(['serve', '--config', config], options);
  const url = await process.until(
    ({ stderr }) => /"url":"([^"]+)".*"msg":"listening"/.exec(stderr)?.[1],
  );
  return { process, url };
}

/** A configuration over the data directory of a demo, so that `serve` finds its labs, people and grant. */
export function writeServeConfig(
  { dataDir, log, model }: Pick<DemoFacts, 'dataDir' | 'log' | 'model'>,
  parts: { upstream: string; shutdownSeconds?: number; port?: number },
): string {
  const path = join(newDirectory(), 'sallyport.yaml');
  const config = {
    server: { port: parts.port ?? 0, shutdownSeconds: parts.shutdownSeconds ?? 1 },
    dataDir,
    log: { origin: log.origin },
    endpoints: [
      {
        id: 'demo',
        description: 'An endpoint for tests',
        dialects: ['openai'],
        upstream: parts.upstream,
        models: [model],
        safeguardsLifted: [
          { safeguard: 'output-classifier', reason: 'Its refusals hide the result', owner: 'A.' },
        ],
        features: { streaming: true, maxOutputTokens: 4096 },
        prices: { inputUsdPerMillion: 3, outputUsdPerMillion: 15 },
      },
    ],
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

/** A client of the control API in the name of one of a demo's people. */
export function clientOf(facts: DemoFacts, role: string, url: string = facts.url): BrokerClient {
  const person = facts.people.find((one) => one.role === role);
  if (!person) throw new Error(`The demo has no ${role}.`);
  const key = loadKeyFile(person.keyFile);
  return new BrokerClient(processSurroundings(), { url, issuer: url, person: person.id, key });
}

/** A new token of the gateway for the demo's researcher, from a broker at another URL than the demo's. */
export async function tokenFrom(facts: DemoFacts, url: string): Promise<string> {
  const access = { type: 'model_access', grant: facts.grant, purpose: 'hallucination', run: 'e2e' };
  return (await clientOf(facts, 'researcher', url).requestToken(access)).access_token;
}
