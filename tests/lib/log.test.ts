/** The operational log of a real process: nothing is lost at its end, and nobody has to read it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';

const LOG = fileURLToPath(new URL('../../dist/lib/log.js', import.meta.url));

/** Runs a script that has `log`. */
function run(script: string): ChildProcess {
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `import { createLogger } from ${JSON.stringify(LOG)};
       const log = createLogger({ level: 'info' });
       ${script}`,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

async function stderrOf(child: ChildProcess): Promise<{ n?: number; msg: string }[]> {
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (part: string) => (text += part));
  await once(child, 'close');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as { n?: number; msg: string });
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_none, n) => n);
const WRITE = (count: number): string =>
  `for (let n = 0; n < ${count}; n += 1) log.info({ n }, 'line');`;

it.each([
  ['runs out', ''],
  ['is ended', 'process.exit(3);'],
  ['breaks', 'throw new Error("on purpose");'],
])('every line is written when the process %s', async (_how, end) => {
  const lines = await stderrOf(
    run(`process.setUncaughtExceptionCaptureCallback(() => process.exit(1));
    ${WRITE(5_000)} ${end}`),
  );
  expect(lines.map(({ n }) => n)).toEqual(numbers(5_000));
});

it('a fatal line is written before anything else happens, with what came before it', async () => {
  const lines = await stderrOf(
    run(`${WRITE(100)} log.fatal('the end'); process.kill(process.pid, 'SIGKILL');`),
  );
  expect(lines.map(({ msg }) => msg)).toEqual([...numbers(100).map(() => 'line'), 'the end']);
});

it('a reader that does not read stops nothing; what it missed is counted', async () => {
  const child = run(`
    const text = 'x'.repeat(1_000);
    for (let n = 0; n < 40_000; n += 1) {
      log.info({ n, text }, 'line');
      if (n % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    process.stdout.write('done');`);
  // Standard error is not read until all of it is logged.
  const [said] = (await once(child.stdout!, 'data')) as [Buffer];
  expect(String(said)).toBe('done');
  const lines = await stderrOf(child);
  const written = lines.filter(({ msg }) => msg === 'line').length;
  const dropped = lines.find(({ msg }) => msg.includes('were dropped'));
  expect(written).toBeLessThan(40_000);
  expect(dropped).toMatchObject({ lines: 40_000 - written });
});

it.skipIf(process.platform !== 'linux')(
  'a standard error that cannot be written stops nothing, not even the end',
  async () => {
    const full = openSync('/dev/full', 'w');
    onTestFinished(() => closeSync(full));
    const script = `
      import { createLogger } from ${JSON.stringify(LOG)};
      const log = createLogger({ level: 'info' });
      for (let i = 0; i < 20; i += 1) {
        log.info({ i }, 'line');
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      log.fatal('the end');
      process.stdout.write('done');
      process.exit(7);`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', full],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const [said] = (await once(child.stdout!, 'data')) as [Buffer];
    expect(String(said)).toBe('done');
    expect(await once(child, 'exit')).toEqual([7, null]);
  },
);

it('a process ends although nobody reads what it has left to say', async () => {
  const child = run(`
    log.info({ text: 'x'.repeat(1_000_000) }, 'line');
    process.stdout.write('done');
    process.exit(7);`);
  await once(child.stdout!, 'data');
  expect(await once(child, 'exit')).toEqual([7, null]);
});
