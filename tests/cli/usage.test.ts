import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { buildProgram, run } from '../../src/cli/program.ts';
import { QuietExit } from '../../src/cli/problems.ts';
import { SENTENCE, newCli } from './run-cli.ts';

const cli = newCli();
const GRANT = `grt_${'0'.repeat(26)}`;

function leaves(command: Command, path: string[] = []): string[][] {
  if (command.commands.length === 0) return [path];
  return command.commands.flatMap((child) => leaves(child, [...path, child.name()]));
}

const COMMANDS = leaves(buildProgram());

describe('every command', () => {
  it('is one of those that were asked for', () => {
    expect(COMMANDS.map((path) => path.join(' '))).toEqual([
      'login',
      'whoami',
      'lab add',
      'lab list',
      'person keygen',
      'person add',
      'person list',
      'person show',
      'person remove',
      'person add-key',
      'person remove-key',
      'person hand-back',
      'endpoint list',
      'endpoint show',
      'grant template',
      'grant new',
      'grant list',
      'grant show',
      'grant amend',
      'grant submit',
      'grant return',
      'grant approve',
      'grant reject',
      'grant revoke',
      'grant close',
      'grant accept',
      'grant usage',
      'order suspend',
      'order list',
      'order show',
      'order lift',
      'token create',
      'token list',
      'token revoke',
      'run list',
      'run end',
      'audit entries',
      'audit show',
      'audit export',
      'audit key',
      'audit verify',
    ]);
  });

  it.each(COMMANDS.map((path) => path.join(' ')))(
    '%s has help with examples, exit codes and --json',
    async (path) => {
      const { code, out, err } = await cli.run(...path.split(' '), '--help');
      expect(code).toBe(0);
      expect(err).toBe('');
      expect(out).toContain(`Usage: sallyport ${path}`);
      expect(out).toMatch(new RegExp(`Examples:\\n( {2}\\$ .*\\n)*.*sallyport ${path}`));
      expect(out).toContain('Exit codes:');
      expect(out).toContain('--json');
    },
  );
});

describe('wrong usage', () => {
  it.each([
    ['an unknown command', ['grnt'], "Unknown command 'grnt'"],
    ['an unknown option', ['lab', 'list', '--al'], "Unknown option '--al'"],
    ['a missing option', ['lab', 'add', '--name', 'x'], "'--kind <kind>' not specified"],
    ['a word that is none of the choices', ['lab', 'add', '--kind', 'host'], 'partner, auditor'],
    ['an id of another kind', ['grant', 'show', 'per_1'], 'the id of a grant (grt_…)'],
    ['a superfluous argument', ['whoami', 'me'], 'Too many arguments'],
    [
      'an unknown purpose',
      ['token', 'create', '--grant', GRANT, '--run', 'x', '--purpose', 'fun'],
      'jailbreak_robustness',
    ],
    ['a limit of nothing', ['lab', 'list', '--limit', '0'], 'a whole number from 1 on'],
    ['a role that does not exist', ['person', 'add', '--role', 'boss'], 'Allowed are admin'],
    ['an attribute without value', ['person', 'add', '--attribute', 'x'], 'name=value'],
    [
      'an order that stops nothing',
      ['order', 'suspend', '--grounds', 'x'],
      'give one of --all, --grant',
    ],
    [
      'an order that stops two things',
      ['order', 'suspend', '--grounds', 'x', '--all', '--model', 'm'],
      'exactly one thing',
    ],
    [
      'an order for something that is not an id',
      ['order', 'suspend', '--grounds', 'x', '--person', 'Ada'],
      '--person "Ada" is not valid',
    ],
    ['a revocation without a reason', ['grant', 'revoke', GRANT], "'--comment <text>'"],
    ['no login', ['whoami'], 'sallyport login'],
    [
      'half a connection',
      ['whoami', '--url', 'https://a.example'],
      '--person (or SALLYPORT_PERSON)',
    ],
    [
      'a profile and a URL',
      ['whoami', '--profile', 'a', '--url', 'https://a.example'],
      'exclude each other',
    ],
    ['a profile that does not exist', ['whoami', '--profile', 'x'], 'no profile "x"'],
    ['half a login', ['login', '--url', 'https://a.example'], 'missing: --person, --key'],
    [
      'a URL in the clear',
      ['audit', 'key', '--url', 'http://broker.example'],
      'tokens would travel in the clear',
    ],
    ['a URL that is none', ['audit', 'key', '--url', 'broker'], 'is not the URL of a broker'],
  ])('%s ends with 2 and says what is wrong', async (_what, args, expected) => {
    const { code, out, err } = await cli.run(...args);
    expect(err).toContain(expected);
    expect(err).toMatch(SENTENCE);
    expect(out).toBe('');
    expect(code).toBe(2);
  });

  it('of a group shows what there is', async () => {
    const { code, err } = await cli.run('order');
    expect(code).toBe(2);
    expect(err).toContain('suspend');
  });

  it('half a connection from the environment is named as such', async () => {
    const half = newCli();
    half.env['SALLYPORT_URL'] = 'https://a.example';
    const { code, err } = await half.run('whoami');
    expect(code).toBe(2);
    expect(err).toContain('missing: --person (or SALLYPORT_PERSON), --key (or SALLYPORT_KEY)');
  });

  it('speaks of --as where --person names somebody else', async () => {
    const { err } = await cli.run('token', 'list', '--url', 'https://a.example');
    expect(err).toContain('--as (or SALLYPORT_PERSON)');
  });
});

describe('commands that others add', () => {
  it('end in the same way, whatever they throw', async () => {
    const errors: string[] = [];
    const program = buildProgram({
      env: {},
      clock: () => 0,
      out: () => undefined,
      err: (text) => void errors.push(text),
      interactive: false,
      confirm: () => Promise.resolve(false),
      columns: () => undefined,
      onSignal: () => () => undefined,
    });
    program.command('serve').action(() => {
      throw new Error('The port is in use.');
    });
    program.command('demo').action(() => {
      throw new QuietExit(7);
    });
    expect(await run(program, ['node', 'sallyport', 'serve'])).toBe(1);
    expect(await run(program, ['node', 'sallyport', 'demo'])).toBe(7);
    expect(await run(program, ['node', 'sallyport', 'serve', '--x'])).toBe(2);
    expect(errors).toEqual([
      'sallyport: The port is in use.\n',
      `sallyport: Unknown option '--x'. See "sallyport serve --help".\n`,
    ]);
  });
});
