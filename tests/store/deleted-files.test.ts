import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { LocalWriter, anEntry, makeDataDirectory, makeWorld } from '../support/store.ts';

const NOW = 1_750_000_000_000;

// SQLite goes on writing into files that nobody will find again (known failure 26).
test.each(['', '-wal'])(
  'a deleted sallyport.db%s is noticed before anything is answered',
  async (suffix) => {
    const writer = new LocalWriter(makeDataDirectory(), NOW);
    await makeWorld(writer.write, NOW);
    rmSync(`${writer.context.db.$client.name}${suffix}`);
    const committed = writer.commit(writer.call('recordEntry', anEntry(NOW)));
    expect(committed.answers).toMatchObject([{ refused: { code: 'log_unavailable' } }]);
    expect(committed.fatal).toContain('was deleted or replaced');
  },
);
