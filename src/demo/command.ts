/** `sallyport demo`. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { defineCommand } from '../cli/define.ts';
import { QuietExit, wrongUsage } from '../cli/problems.ts';
import type { DemoServeOptions } from './serve.ts';

export function addDemo(program: Command): void {
  defineCommand(program, 'demo [story]', {
    summary: 'Tell the story of a grant, or serve a broker to try things on',
    details:
      'Without --serve: goes through the whole story step by step with real SDKs and says what each step proves; exits 1 as soon as one is not as it should be. With "recall": an order about people of one attribute, an objection, and the way back. With "audit": a sealed call, receipts, a statement, two brokers that witness each other, evidence, and what comes of changing it. With --serve: a broker with a built-in demo model, two labs, people with their keys, one active grant and one token, until SIGTERM. With --model-only: the demo model alone, as an upstream for brokers of your own, until SIGTERM.',
    examples: [
      'sallyport demo',
      'sallyport demo recall',
      'sallyport demo audit',
      'sallyport demo --serve --port 9000',
      'sallyport demo --model-only --port 9100',
      'sallyport demo --serve --upstream http://127.0.0.1:11434 --model llama3.2:3b',
    ],
    exitCodes:
      'Exit codes:\n  0  the whole story is as it should be; with --serve or --model-only: stopped by a signal\n  1  a step is not as it should be, or it could not start',
  })
    .option('--serve', 'serve instead of telling the story')
    .addOption(
      new Option('--model-only', 'serve the demo model, without a broker').conflicts('serve'),
    )
    .option(
      '--port <number>',
      'when serving: port to listen on (default 8787; 0, the default of --model-only, takes a free one)',
      port,
    )
    .option('--host <address>', 'when serving: address to listen on (default 127.0.0.1)')
    .option(
      '--data <dir>',
      'with --serve: data directory, used again if it is there (default: a temporary one)',
    )
    .option('--upstream <url>', 'with --serve: this OpenAI-style server instead of the demo model')
    .option(
      '--model <name>',
      'with --upstream: the model to grant, exactly as that server names it',
    )
    .option(
      '--grant <file>',
      "with --serve: YAML or JSON whose fields take the place of the demo grant's",
    )
    .option('--json', 'with --serve: print exactly one line of JSON once it is ready')
    .action(async (story: string | undefined, options: DemoOptions) => {
      const code = await run(
        storyOf(story, options),
        options,
        (text) => void process.stdout.write(text),
      );
      if (code !== 0) throw new QuietExit(code);
    });
}

type DemoOptions = DemoServeOptions & { serve?: boolean; modelOnly?: boolean };

const STORIES = ['recall', 'audit'] as const;

type Story = 'grant' | (typeof STORIES)[number];

function storyOf(story: string | undefined, { serve, modelOnly }: DemoOptions): Story {
  if (story === undefined) return 'grant';
  const found = STORIES.find((one) => one === story);
  if (found === undefined)
    throw wrongUsage(
      `There is no story "${story}". There are: ${STORIES.join(', ')}; without a name, that of a grant.`,
    );
  if (serve || modelOnly)
    throw wrongUsage('A story is told, and --serve serves: give one of them.');
  return found;
}

/** Each part is loaded only now: the SDKs that the story uses are large. @returns the exit code */
async function run(
  story: Story,
  options: DemoOptions,
  out: (text: string) => void,
): Promise<number> {
  if (options.modelOnly) return (await import('./serve-model.ts')).serveModel(options, out);
  if (options.serve) return (await import('./serve.ts')).serveDemo(options, out);
  if (story === 'audit') return (await import('./audit/story.ts')).tellAudit(out);
  if (story === 'recall') return (await import('./recall.ts')).tellRecall(out);
  return (await import('./story.ts')).tellStory(out);
}

function port(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0 || number > 65_535)
    throw new InvalidArgumentError('It must be a number from 0 to 65535.');
  return number;
}
