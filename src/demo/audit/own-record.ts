/** What a researcher and their lab have in hand themselves: receipts, and the log's statement that is held against them. */
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../narrator.ts';
import { INCOMPLETE, QUESTIONS, SOUND, TAMPERED, said, type Scene } from './scene.ts';
import { succeeds, type Ended } from './terminal.ts';

/** The researcher's receipts. */
export async function keepReceipts(scene: Scene): Promise<void> {
  const { world, narrator, sites, desk, stranger } = scene;
  const { researcher } = world.people;
  narrator.chapter('The researcher has a receipt of each call');
  const terminal = await scene.as(researcher);
  const folder = join(desk, 'receipts');
  await succeeds(terminal('audit', 'receipts', ...sinceYesterday(), '--dir', folder));
  const kept = readdirSync(folder);
  must(kept.length === QUESTIONS.length, `there are receipts ${kept.join(', ')}`);
  const key = ['--key', sites[0].logKey];
  await succeeds(stranger('audit', 'receipt', folder, ...key));
  narrator.proved(
    `${researcher.name} keeps ${kept.length} receipts; each is checked offline: sound`,
    'a receipt needs no broker, only the key of the log',
  );
  const changed = join(desk, 'changed.receipt');
  const receipt = readFileSync(join(folder, kept[0] ?? ''), 'utf8');
  writeFileSync(changed, receipt.replace('"upstreamStatus":200', '"upstreamStatus":500'));
  const found = await stranger('audit', 'receipt', changed, ...key);
  must(found.code === TAMPERED, `a changed receipt ends with ${said(found)}`);
  narrator.proved(
    'One of them says that the model answered 500: tampered',
    'it is exactly what the log holds, or no receipt',
  );
}

/** The partner lab's statement. */
export async function countCalls(scene: Scene): Promise<void> {
  const { world, narrator, sites, desk } = scene;
  const { lead } = world.people;
  narrator.chapter(
    'The partner lab checks that its calls are on record, all of them and no others',
  );
  const terminal = await scene.as(lead);
  const folder = join(desk, 'receipts');
  const statement = (): Promise<Ended> =>
    terminal(
      'audit',
      'statement',
      ...sinceYesterday(),
      '--receipts',
      folder,
      '--log-key',
      sites[0].logKey,
    );
  const whole = await statement();
  must(whole.code === SOUND, `the statement ends with ${said(whole)}`);
  narrator.proved(
    `${lead.name} holds the log's statement against the receipts: ${lastLine(whole)}`,
    'the host has left out no call, and has added none in their name',
  );
  const [lost] = readdirSync(folder);
  const path = join(folder, lost ?? '');
  const receipt = readFileSync(path);
  rmSync(path);
  const lacking = await statement();
  const named = (lost ?? '').replace('.receipt', '');
  must(
    lacking.code === INCOMPLETE && lacking.out.includes(named),
    `without a receipt it ends with ${said(lacking)}`,
  );
  writeFileSync(path, receipt);
  narrator.proved(
    `Without one of the receipts: incomplete, and it names ${named}`,
    'a call in their name that none of them made would stand out like this',
  );
}

/** A story that is told at midnight is of two days. */
const sinceYesterday = (): string[] => [
  '--since',
  new Date(Date.now() - 86_400_000).toISOString().slice(0, 10),
];

const lastLine = ({ out }: Ended): string => out.trimEnd().split('\n').at(-1) ?? '';
