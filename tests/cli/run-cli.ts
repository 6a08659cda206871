/** Runs command lines in this process, with everything around them set. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildProgram, run } from '../../src/cli/program.ts';
import type { Surroundings } from '../../src/cli/surroundings.ts';

interface Ended {
  code: number;
  out: string;
  err: string;
}

export interface Cli {
  /** A folder of its own, with the profiles in `home`. */
  folder: string;
  env: Record<string, string>;
  run(...args: string[]): Promise<Ended>;
  /** With `--json`: the document. Throws when the command fails or prints anything else. */
  json<T>(...args: string[]): Promise<T>;
  remove(): void;
}

const nobody = (): Promise<never> => Promise.reject(new Error('There is nobody to ask.'));

/**
 * @param around what differs from a process without a terminal
 */
export function newCli(around: Partial<Surroundings> = {}): Cli {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-cli-'));
  const env: Record<string, string> = { SALLYPORT_HOME: join(folder, 'home') };
  const runIn = async (...args: string[]): Promise<Ended> => {
    let out = '';
    let err = '';
    const program = buildProgram({
      env,
      clock: () => Date.now(),
      out: (text) => (out += text),
      err: (text) => (err += text),
      interactive: false,
      confirm: () => Promise.reject(new Error('There is nobody to ask.')),
      ask: { one: nobody, several: nobody, text: nobody },
      secret: () => Promise.reject(new Error('There is nobody to ask.')),
      input: () => Promise.resolve(''),
      columns: () => undefined,
      onSignal: () => () => undefined,
      ...around,
    });
    const code = await run(program, ['node', 'sallyport', ...args], env);
    return { code, out, err };
  };
  return {
    folder,
    env,
    run: runIn,
    json: async <T>(...args: string[]) => {
      const { code, out, err } = await runIn(...args, '--json');
      if (code !== 0) throw new Error(`"${args.join(' ')}" ended with ${code}: ${err}`);
      return JSON.parse(out) as T;
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** One sentence or two on one line, and no stack trace. */
export const SENTENCE = /^sallyport: [^\n]+[.?)]\n$/;
