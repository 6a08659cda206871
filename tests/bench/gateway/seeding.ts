/** Long logs, for what is measured on them. */
import type { Figure } from '../harness.ts';
import { Child } from './child.ts';
import type { Premises } from './sallyport.ts';
import type { SeedOrder, Seeded } from './seed-log.ts';

/** Writes a log of so many entries, by a process of its own. */
export async function seed({ facts }: Premises, entries: number): Promise<Seeded> {
  const person = facts.people.find(({ role }) => role === 'researcher');
  if (!person) throw new Error('There is no researcher.');
  const seeder = new Child(new URL('./seed-log.ts', import.meta.url));
  try {
    return await seeder.ask<Seeded>({
      dataDir: facts.dataDir,
      origin: facts.log.origin,
      entries,
      facts: {
        personId: person.id,
        labId: person.lab,
        roles: [person.role],
        grantId: facts.grant,
        grantVersion: 1,
        tokenId: 'tok_seeded',
        purpose: 'hallucination',
        runId: 'run_seeded',
        operation: 'chat.completions',
        endpoint: 'demo',
        model: facts.model,
        stream: false,
        features: [],
        restored: [],
      },
    } satisfies SeedOrder);
  } finally {
    seeder.close();
  }
}

export const seededFigure = (name: string, { entries, seconds, bytes }: Seeded): Figure => ({
  name: `${name}, seeded`,
  value: entries,
  unit: 'entries',
  details: { 'GiB of database': bytes / 2 ** 30, seconds },
});
