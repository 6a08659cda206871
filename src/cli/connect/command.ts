/** `sallyport connect`: a port on loopback through which any SDK works on a grant with bound tokens. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { purposeSchema } from '../../core/vocabulary.ts';
import { id, several, wholeNumber } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { QuietExit, wrongUsage } from '../problems.ts';
import { makeReceiptsDirectory } from '../receipts/files.ts';
import { receiptKeys } from '../receipts/keep.ts';
import type { Surroundings } from '../surroundings.ts';
import type { Command as Program } from './run-command.ts';
import { serveRun } from './run.ts';

interface ConnectOptions extends BrokerOptions {
  grant: string;
  purpose: string;
  run: string;
  model?: string[];
  maxOutputTokens?: number;
  port?: number;
  wait: number;
  exec?: string;
  receipts?: string;
  logKey?: string[];
}

const EXIT_CODES = `Exit codes:
  0  stopped by a signal (npx, where it is run by that, ends with 130 then)
  1  the broker refused a token, or the command could not be started
  2  wrong usage: an option, an id or a file that you gave is missing or not valid
  3  the broker could not be reached
With a command: its own exit code; 128 and the number of the signal that ended it.`;

/** Clients wait for an answer for longer than this, and a limit per minute is over long before. */
const DEFAULT_WAIT_SECONDS = 120;
const MOST_WAIT_SECONDS = 3600;

export function addConnect(program: Command, around: Surroundings): void {
  defineBrokerCommand(program, 'connect', {
    summary: 'Open a port on this machine through which any SDK works under a grant',
    details:
      'Gets tokens for one run, bound to a key that is made for it and never leaves this process (DPoP), renews them ' +
      'before they run out, and passes requests on from a port of 127.0.0.1. SDKs and harnesses need a base URL and ' +
      'the local key alone: both are printed as lines for the shell. The local key is good for this run, and without ' +
      'it other users of this machine cannot use the port. Of the headers of a request, those go on that the broker ' +
      'knows; no other credential does.\n\n' +
      'Requests above the limits of the grant wait here, first come, first served: until one of those that it allows at ' +
      'once has ended, and for limits that the broker refused them for, which passed them on to nobody. What has waited ' +
      "for --wait seconds gets the broker's answer. What the model endpoint itself refuses is passed back as it is.\n\n" +
      'With --receipts it keeps the receipt of each call, by which anybody can check that the log holds it ("audit ' +
      'receipt"). No call waits for that.\n\n' +
      'With a command after "--" it runs that program with the variables set; with --exec it has the shell run a ' +
      'command line. Either way it ends with the command, and with its exit code.',
    examples: [
      'sallyport connect --grant grt_01… --purpose jailbreak_robustness --run pilot',
      'sallyport connect --grant grt_01… --purpose bias --run "round 1" -- inspect eval task.py --model openai/demo-model -M responses_api=false',
      `sallyport connect --grant grt_01… --purpose bias --run pilot --exec 'promptfoo eval && ./report.sh'`,
    ],
    exitCodes: EXIT_CODES,
  })
    .argument(
      '[command...]',
      'after "--": a program and its arguments, to be run with the variables set',
    )
    .requiredOption('--grant <id>', 'the grant', id('grt'))
    .addOption(
      new Option('--purpose <purpose>', 'the category of test')
        .choices(purposeSchema.options)
        .makeOptionMandatory(),
    )
    .requiredOption('--run <name>', 'a name for this piece of work, such as "round 1"')
    .option('--model <name>', 'ask for this model only; may be given several times', several)
    .option(
      '--max-output-tokens <n>',
      'ask for at most so many output tokens an answer',
      wholeNumber(1),
    )
    .option('--port <n>', 'listen on this port instead of any free one', upTo(65_535))
    .option(
      '--wait <seconds>',
      "the longest that a request waits for limits, below its client's timeout; 0: not at all",
      upTo(MOST_WAIT_SECONDS),
      DEFAULT_WAIT_SECONDS,
    )
    .option('--exec <command line>', 'have the shell run this with the variables set')
    .option(
      '--receipts <directory>',
      'keep the receipt of each call in this directory; it is made where it is missing',
    )
    .option(
      '--log-key <key>',
      "with --receipts: the log's verifier key, or @FILE that holds it, to check them before they are kept",
      several,
    )
    .action(async (words: string[], options: ConnectOptions) => {
      const command = commandOf(words, options);
      if (options.receipts !== undefined) makeReceiptsDirectory(options.receipts);
      else if (options.logKey !== undefined)
        throw wrongUsage('--log-key is for --receipts: give both, or neither.');
      const keys = receiptKeys(around, options.logKey);
      const broker = await connect(around, options);
      const exitCode = await serveRun(around, broker, {
        access: accessOf(options),
        port: options.port ?? 0,
        waitMs: options.wait * 1000,
        json: options.json ?? false,
        command,
        receipts: options.receipts,
        receiptKeys: keys,
      });
      if (exitCode !== 0) throw new QuietExit(exitCode);
    });
}

function upTo(most: number): (text: string) => number {
  return (text) => {
    const value = wholeNumber(0)(text);
    if (value > most) throw new InvalidArgumentError(`It must be at most ${most}.`);
    return value;
  };
}

/** What the token is asked to give access to: no more than these. */
function accessOf({ grant, purpose, run, model, maxOutputTokens }: ConnectOptions): object {
  return {
    type: 'model_access',
    grant,
    purpose,
    run,
    ...(model ? { models: model } : {}),
    ...(maxOutputTokens === undefined ? {} : { features: { maxOutputTokens } }),
  };
}

function commandOf(words: string[], { exec, json }: ConnectOptions): Program | undefined {
  const [program, ...args] = words;
  if (program === undefined && exec === undefined) return undefined;
  if (program !== undefined && exec !== undefined)
    throw wrongUsage('Give a command after "--" or with --exec, not both.');
  if (json)
    throw wrongUsage("Standard output is the command's where one is run: leave --json out.");
  return exec === undefined ? { program: program as string, args } : { shell: exec };
}
