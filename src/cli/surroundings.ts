/** What commands see of the process that they run in. Handed to them, so that tests can set it. */
import { text as textOf } from 'node:stream/consumers';
import { systemClock, type Clock } from '../lib/clock.ts';

/** One of several answers. */
export interface Option {
  value: string;
  /** What is shown in place of the value. */
  label?: string;
  /** What choosing it means. */
  hint?: string;
}

/** Asks somebody at the terminal. Undefined: they stopped answering. */
interface Ask {
  one(question: string, options: Option[]): Promise<string | undefined>;
  /** @param chosen what is chosen at first @param none whether nothing is an answer, too */
  several(
    question: string,
    options: Option[],
    chosen: string[],
    none?: boolean,
  ): Promise<string[] | undefined>;
  /** @param isWrong what is wrong with an answer, if anything */
  text(
    question: string,
    usual: string,
    isWrong: (text: string) => string | undefined,
  ): Promise<string | undefined>;
}

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
  /** Questions with more answers than two. Only when `interactive`. */
  ask: Ask;
  /** Asks for a text that does not show while it is typed; empty when interrupted. Only when `interactive`. */
  secret: (question: string) => Promise<string>;
  /** Standard input, to its end. */
  input: () => Promise<string>;
  /** How wide the terminal is that standard error goes to; undefined where it goes to none. */
  columns: () => number | undefined;
  /** Listens for a signal, which then does not end the process by itself. Returns how to stop listening. */
  onSignal: (signal: NodeJS.Signals, listener: () => void) => () => void;
}

/** "sallyport audit entries | head" closes the pipe early: that is not a failure. */
function endOnClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
}

/** The surroundings of this process. */
export function processSurroundings(): Surroundings {
  // Once, however many there are: a story has a client for each of its people.
  if (!process.stdout.listeners('error').includes(endOnClosedPipe))
    process.stdout.on('error', endOnClosedPipe);
  return {
    env: process.env,
    clock: systemClock,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    interactive: process.stdin.isTTY && process.stderr.isTTY,
    confirm: askOnTerminal,
    ask: askInDetail,
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

const stderr = { output: process.stderr };

const optionsOf = (options: Option[]) =>
  options.map(({ value, label = value, hint }) => ({ value, label, ...(hint && { hint }) }));

const askInDetail: Ask = {
  async one(message, options) {
    const { select } = await import('@clack/prompts');
    const answer = await select({ message, options: optionsOf(options), ...stderr });
    return typeof answer === 'string' ? answer : undefined;
  },
  async several(message, options, initialValues, none = false) {
    const { multiselect } = await import('@clack/prompts');
    const answer = await multiselect({
      message,
      options: optionsOf(options),
      initialValues,
      required: !none,
      ...stderr,
    });
    return Array.isArray(answer) ? answer : undefined;
  },
  async text(message, initialValue, isWrong) {
    const { text } = await import('@clack/prompts');
    const validate = (answer: string | undefined): string | undefined => isWrong(answer ?? '');
    const answer = await text({ message, initialValue, validate, ...stderr });
    return typeof answer === 'string' ? answer : undefined;
  },
};
