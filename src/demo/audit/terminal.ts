/** A terminal of one of the demo's people: runs `sallyport` commands as they would, in this process. */
import { buildProgram, run } from '../../cli/program.ts';
import { systemClock } from '../../lib/clock.ts';
import type { DemoPerson, DemoWorld } from '../world.ts';

/** How a command ended. */
export interface Ended {
  code: number;
  out: string;
  err: string;
}

const nobody = (): Promise<never> => Promise.reject(new Error('Nobody is at the terminal.'));

/** Runs `sallyport` with these arguments, without a person who could be asked. */
export type Terminal = (...args: string[]) => Promise<Ended>;

/**
 * A terminal with profiles of its own.
 *
 * @param home where its profiles and what it has seen of logs are kept
 */
export function openTerminal(home: string): Terminal {
  const env = { SALLYPORT_HOME: home };
  return async (...args) => {
    const ended: Ended = { code: 0, out: '', err: '' };
    const program = buildProgram({
      env,
      clock: systemClock,
      out: (text) => void (ended.out += text),
      err: (text) => void (ended.err += text),
      interactive: false,
      confirm: nobody,
      ask: { one: nobody, several: nobody, text: nobody },
      secret: nobody,
      input: nobody,
      columns: () => undefined,
      onSignal: () => () => undefined,
    });
    ended.code = await run(program, ['node', 'sallyport', ...args], env);
    return ended;
  };
}

/** A terminal at which somebody has logged in. */
export async function terminalOf(
  { server }: DemoWorld,
  { id, keyFile }: DemoPerson,
  home: string,
): Promise<Terminal> {
  const terminal = openTerminal(home);
  await succeeds(terminal('login', '--url', server.url, '--person', id, '--key', keyFile));
  return terminal;
}

/** @returns what a command answers, of which nothing but success is expected */
export async function succeeds(running: Promise<Ended>): Promise<string> {
  const { code, out, err } = await running;
  if (code !== 0) throw new Error(`A command ended with ${code}: ${err}${out}`.trim());
  return out;
}
