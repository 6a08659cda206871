/** What commands see of the process that they run in. Handed to them, so that tests can set it. */
import { text as textOf } from 'node:stream/consumers';
import { systemClock, type Clock } from '../lib/clock.ts';

export interface Surroundings {
  env: Readonly<Record<string, string | undefined>>;
  clock: Clock;
  /** Writes to standard output: what the command answers, and nothing else. */
  out: (text: string) => void;
  /** Writes to standard error: notes and errors. */
  err: (text: string) => void;
  /** Whether there is a person at the terminal to ask. */
  interactive: boolean;
  /** Asks a question that is answered with yes or no. Only when `interactive`. */
  confirm: (question: string) => Promise<boolean>;
  /** Asks for a text that does not show while it is typed; empty when interrupted. Only when `interactive`. */
  secret: (question: string) => Promise<string>;
  /** Standard input, to its end. */
  input: () => Promise<string>;
  /** How wide the terminal is that standard error goes to; undefined where it goes to none. */
  columns: () => number | undefined;
  /** Listens for a signal, which then does not end the process by itself. Returns how to stop listening. */
  onSignal: (signal: NodeJS.Signals, listener: () => void) => () => void;
}

/** The surroundings of this process. */
export function processSurroundings(): Surroundings {
  // "sallyport audit entries | head" closes the pipe early: that is not a failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
  return {
    env: process.env,
    clock: systemClock,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    interactive: process.stdin.isTTY && process.stderr.isTTY,
    confirm: askOnTerminal,
    secret: secretFromTerminal,
    input: () => textOf(process.stdin),
    // Some terminals do not say, and give 0.
    columns: () => (process.stderr.isTTY ? process.stderr.columns || 80 : undefined),
    onSignal: (signal, listener) => {
      process.on(signal, listener);
      return () => void process.off(signal, listener);
    },
  };
}

async function askOnTerminal(question: string): Promise<boolean> {
  // Only loaded when something is asked: every other command starts faster for it.
  const { confirm } = await import('@clack/prompts');
  const answer = await confirm({ message: question, initialValue: false, output: process.stderr });
  // An interruption is not a yes.
  return answer === true;
}

async function secretFromTerminal(question: string): Promise<string> {
  const { password } = await import('@clack/prompts');
  const answer = await password({ message: question, output: process.stderr });
  return typeof answer === 'string' ? answer : '';
}
