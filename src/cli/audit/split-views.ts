/** `sallyport audit split-views` */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { seenCheckpoint } from '../../core/audit/split-view.ts';
import { connect } from '../connection.ts';
import { defineListCommand, printList, type ListOptions } from '../lists.ts';
import { moment, note } from '../output.ts';
import { fileTrouble, wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { splitViewSchema, type SplitViewWire } from './witness-wire.ts';

interface SplitViewsOptions extends ListOptions {
  save?: string;
}

export function addAuditSplitViews(group: Command, around: Surroundings): void {
  defineListCommand(group, 'split-views', {
    summary: 'List logs that were shown in two versions, with what proves it',
    details:
      'Of this log, and of those that this broker is a witness of, as far as you may see them. "proven" can be checked with the key of that log alone: save it, and give it to "audit compare".',
    examples: [
      'sallyport audit split-views',
      'sallyport audit split-views --save proofs',
      'sallyport audit compare proofs/spv_01….json --key @log.vkey',
    ],
  })
    .option('--save <dir>', 'write each into a file of this folder')
    .action(async (options: SplitViewsOptions) => {
      const broker = await connect(around, options);
      const found = await broker.list('/log/split-views', splitViewSchema, options.limit, {});
      if (options.save !== undefined) save(options.save, found.items);
      printList(around, options, found, ['id', 'found', 'log', 'kind', 'sizes'], (one) => [
        one.id,
        moment(one.foundAt),
        one.origin,
        one.kind,
        [one.older, one.newer].map((text) => seenCheckpoint(text).size).join(' and '),
      ]);
      if (options.save !== undefined && found.items.length > 0)
        note(around, `Written to ${options.save}. Check them with "audit compare".`);
    });
}

function save(folder: string, found: readonly SplitViewWire[]): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const one of found) {
      const path = join(folder, `${one.id}.json`);
      writeFileSync(path, `${JSON.stringify(one, null, 2)}\n`, { mode: 0o600 });
    }
  } catch (error) {
    throw wrongUsage(`Cannot write into ${folder}: ${fileTrouble(error)}.`, error);
  }
}
