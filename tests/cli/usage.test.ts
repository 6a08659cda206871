import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { buildProgram, run } from '../../src/cli/program.ts';
import { QuietExit } from '../../src/cli/problems.ts';
import { SENTENCE, newCli } from './run-cli.ts';

const cli = newCli();
const GRANT = `grt_${'0'.repeat(26)}`;
const PERSON = `per_${'0'.repeat(26)}`;

function leaves(command: Command, path: string[] = []): string[][] {
  if (command.commands.length === 0) return [path];
  return command.commands.flatMap((child) => leaves(child, [...path, child.name()]));
}

const COMMANDS = leaves(buildProgram());

describe('every command', () => {
  it('is one of those that were asked for', () => {
    expect(COMMANDS.map((path) => path.join(' '))).toEqual([
      'join',
      'login',
      'whoami',
      'lab add',
      'lab list',
      'lab show',
      'lab identity set',
      'lab identity remove',
      'person invite',
      'person invitations',
      'person uninvite',
      'person keygen',
      'person add',
      'person list',
      'person show',
      'person set-roles',
      'person set-attributes',
      'person remove',
      'person replace-key',
      'person add-key',
      'person remove-key',
      'person hand-back',
      'endpoint list',
      'endpoint show',
      'grant template',
      'grant new',
      'grant apply',
      'grant list',
      'grant show',
      'grant submit',
      'grant return',
      'grant approve',
      'grant reject',
      'grant withdraw',
      'grant revoke',
      'grant close',
      'grant accept',
      'grant add-person',
      'grant take-off-person',
      'grant review',
      'grant usage',
      'order preview',
      'order issue',
      'order suspend',
      'order list',
      'order show',
      'order disputes',
      'order ratify',
      'order review',
      'order lift',
      'order supplement',
      'order lower',
      'order acknowledge',
      'order object',
      'order decide',
      'duty list',
      'duty show',
      'duty report',
      'duty confirm',
      'duty return',
      'incident open',
      'incident list',
      'incident show',
      'incident correct',
      'incident link',
      'incident unlink',
      'incident find',
      'incident report',
      'incident resolve',
      'incident reopen',
      'incident export',
      'notice list',
      'notice show',
      'notice ack',
      'notice deliveries',
      'notice replay',
      'token create',
      'token list',
      'token revoke',
      'run list',
      'run end',
      'connect',
      'keys list',
      'keys rotate',
      'keys retire',
      'audit entries',
      'audit tail',
      'audit show',
      'audit export',
      'audit retention',
      'audit archive',
      'audit prune',
      'audit archives',
      'audit report',
      'audit forwarding',
      'audit key',
      'audit verify',
      'audit receipt',
      'audit receipts',
      'audit statement',
      'audit replay',
      'audit witnesses',
      'audit compare',
      'audit split-views',
      'audit rotate-key',
      'audit transcript',
      'audit transcripts check',
      'audit transcripts destroy',
      'audit open',
      'audit new-identity',
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
    ['a lab without a name', ['lab', 'add', '--kind', 'partner', '--name', ''], 'not be empty'],
    ['a person without a name', ['person', 'add', '--name', ''], 'not be empty'],
    ['an invitation of nobody', ['person', 'invite', '--name', ''], 'not be empty'],
    ['a name of two lines', ['lab', 'add', '--name', 'a\nb'], 'control characters'],
    ['tokens of no key', ['token', 'revoke', '--yes', '--kid', ''], 'not be empty'],
    ['a list for no key', ['token', 'list', '--kid', ''], 'not be empty'],
    [
      'half a key to remove',
      ['person', 'remove-key', 'per_00000000000000000000000001', 'QpN'],
      'the whole id of a key',
    ],
    [
      'no key to remove',
      ['person', 'remove-key', 'per_00000000000000000000000001', ''],
      'the whole id of a key',
    ],
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
      'an attribute of a name that cannot be one',
      ['person', 'invite', '--attribute', '__proto__=x'],
      'letters, digits',
    ],
    ['an order that stops nothing', ['order', 'suspend', '--grounds', 'x'], '--all, --attribute'],
    [
      'an order on everything and something',
      ['order', 'suspend', '--grounds', 'x', '--all', '--model', 'm'],
      'it goes with nothing else',
    ],
    [
      'an order for something that is not an id',
      ['order', 'suspend', '--grounds', 'x', '--of', 'Ada'],
      '--of "Ada" is not valid',
    ],
    ['a revocation without a reason', ['grant', 'revoke', GRANT], "'--grounds <text>'"],
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

  it('--person says who calls in every command, and whoever means somebody else is told of --of', async () => {
    const lists = [
      ['token', 'list'],
      ['token', 'revoke'],
      ['run', 'list'],
      ['order', 'suspend', '--all', '--grounds', 'x'],
    ];
    for (const words of lists) {
      const { out } = await cli.run(...words, '--help');
      expect(out).toMatch(/^ +--of <id> /m);
      expect(out).toMatch(/^ +--person <id> +without a profile: who you are/m);
    }
    const both = ['--profile', 'p', '--person', PERSON];
    const { code, err } = await cli.run('token', 'list', ...both);
    expect(err).toContain('--profile and --person exclude each other');
    expect(err).toContain('takes --of');
    expect(code).toBe(2);
    expect((await cli.run('run', 'list', '--person', PERSON)).err).toContain('takes --of');
  });

  it('names the command as it was started', async () => {
    const npx = newCli();
    npx.env['npm_command'] = 'exec';
    const { err } = await npx.run('whoami');
    expect(err).toContain('Log in with "npx sallyport login --url');
    npx.remove();
  });

  it('--help marks what must be given', async () => {
    const { out } = await cli.run('token', 'create', '--help');
    expect(out).toMatch(/--grant <id> +the grant \(required\)/);
    expect(out).toMatch(/--run <name>[^\n]*(\n {10,}[^\n]*)*\(required\)/);
    expect(out.indexOf('Options:')).toBeLessThan(out.indexOf('Which broker, and as whom:'));
    expect(out.match(/\(required\)/g)).toHaveLength(3);
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
      ask: {
        one: () => Promise.resolve(undefined),
        several: () => Promise.resolve(undefined),
        text: () => Promise.resolve(undefined),
      },
      secret: () => Promise.resolve(''),
      input: () => Promise.resolve(''),
      columns: () => undefined,
      onSignal: () => () => undefined,
    });
    program.command('serve').action(() => {
      throw new Error('The port is in use.');
    });
    program.command('demo').action(() => {
      throw new QuietExit(7);
    });
    expect(await run(program, ['node', 'sallyport', 'serve'], {})).toBe(1);
    expect(await run(program, ['node', 'sallyport', 'demo'], {})).toBe(7);
    expect(await run(program, ['node', 'sallyport', 'serve', '--x'], { npm_command: 'exec' })).toBe(
      2,
    );
    expect(errors).toEqual([
      'sallyport: The port is in use.\n',
      `sallyport: Unknown option '--x'. See "npx sallyport serve --help".\n`,
    ]);
  });
});
