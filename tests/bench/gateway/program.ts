/** Programs that are measured, as processes of their own, and the directories of the bench. None outlives it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const STARTS_WITHIN_MS = 60_000;

const TMPFS = 0x0102_1994;

const running = new Set<ChildProcess>();
const directories: string[] = [];

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  for (const path of directories) rmSync(path, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => process.exit(1));

/** A new directory (mode 0700) on a disk: in memory, a commit costs nothing. */
export function newDirectory(): string {
  if (statfsSync(tmpdir()).type === TMPFS)
    throw new Error(`${tmpdir()} is in memory. Set TMPDIR to a directory on a disk.`);
  const path = mkdtempSync(join(tmpdir(), 'sallyport-bench-'));
  directories.push(path);
  return path;
}

/** A port of the loopback interface that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export class Program {
  readonly #child: ChildProcess;
  readonly #output: string;

  /** @param options.directory where its output goes: to a file, as under a service manager */
  constructor(
    command: string,
    args: readonly string[],
    options: { directory: string; env?: NodeJS.ProcessEnv },
  ) {
    this.#output = join(options.directory, 'output.log');
    const file = openSync(this.#output, 'a');
    this.#child = spawn(command, args, {
      stdio: ['ignore', file, file],
      env: { PATH: process.env['PATH'], HOME: tmpdir(), ...options.env },
    });
    running.add(this.#child);
    this.#child.once('exit', () => running.delete(this.#child));
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get output(): string {
    return readFileSync(this.#output, 'utf8');
  }

  /** Waits until it answers 200 at a URL. */
  async untilItAnswers(url: string): Promise<void> {
    const until = performance.now() + STARTS_WITHIN_MS;
    for (;;) {
      if (await answers(url)) return;
      if (this.#child.exitCode !== null || performance.now() > until)
        throw new Error(`It did not start: ${this.output}`);
      await delay(50);
    }
  }

  /** Ends it in order, and waits for that. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill('SIGTERM');
    await once(this.#child, 'exit');
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url);
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
