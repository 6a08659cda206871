/** Lists of tokens and runs when there are many: what one call looks at is bounded. */
import { beforeEach, describe, expect, test } from 'vitest';
import { mintId } from '../../src/lib/ids.ts';
import { MOST_RUNS_SEARCHED, listRuns, type RunFilter } from '../../src/store/list-runs.ts';
import { MOST_TOKENS_SEARCHED, listTokens, type TokenFilter } from '../../src/store/list-tokens.ts';
import type { Searched } from '../../src/store/page.ts';
import { LocalWriter, makeDataDirectory, makeWorld, type World } from '../support/store.ts';

const NOW = 1_750_000_000_000;
const HOUR = 3_600_000;

let writer: LocalWriter;
let world: World;

beforeEach(async () => {
  writer = new LocalWriter(makeDataDirectory(), NOW);
  world = await makeWorld(writer.write, NOW);
});

function addRun(name: string, personId: string, at = NOW): string {
  const id = mintId('run', at);
  writer.context.db.$client
    .prepare(
      `INSERT INTO runs (id, grant_id, purpose, name, person_id, created_at)
       VALUES (?, ?, 'hallucination', ?, ?, ?)`,
    )
    .run(id, world.grant.id, name, personId, at);
  return id;
}

interface NewToken {
  personId?: string;
  runId: string;
  at?: number;
  usedAt?: number;
}

function addTokens(
  count: number,
  { personId = world.researcher, runId, at = NOW, usedAt }: NewToken,
) {
  const { $client } = writer.context.db;
  const insert = $client.prepare(
    `INSERT INTO tokens (id, audience, person_id, lab_id, kid, grant_id, grant_version, purpose, run_id,
                         issued_at, expires_at, last_used_at)
     VALUES (?, 'gateway', ?, ?, 'k', ?, 1, 'hallucination', ?, ?, ?, ?)`,
  );
  const ids = Array.from({ length: count }, () => mintId('tok', at));
  $client.transaction(() => {
    for (const id of ids)
      insert.run(id, personId, world.partner, world.grant.id, runId, at, at + HOUR, usedAt ?? null);
  })();
  return ids.sort();
}

/** Every page from the first to the last: how many there were, and all that they held. */
function pages<T extends { id: string }>(
  search: (page: { after?: string; limit: number }) => Searched<T>,
): { searched: number; ids: string[] } {
  const ids: string[] = [];
  let searched = 0;
  for (let after: string | null | undefined; after !== null;) {
    const page = search({ ...(after === undefined ? {} : { after }), limit: 200 });
    ids.push(...page.found.map(({ id }) => id));
    after = page.found.length === 200 ? (page.found.at(-1)?.id ?? null) : page.searchedTo;
    searched += 1;
  }
  return { searched, ids };
}

describe('a search of tokens', () => {
  const search = (filter: TokenFilter) =>
    pages((page) => listTokens(writer.context.db, page, filter));

  test('that finds few among many ends early, says so, and finds them all in the end', () => {
    const runId = addRun('r', world.researcher);
    const theirs = addTokens(2, { runId, at: NOW - 3 * HOUR, personId: world.secondResearcher });
    addTokens(MOST_TOKENS_SEARCHED, { runId, at: NOW - 2 * HOUR });
    const later = addTokens(1, { runId, personId: world.secondResearcher });
    const grantId = world.grant.id;
    const first = listTokens(
      writer.context.db,
      { limit: 10 },
      { grantId, vouchedBy: 'person', runId, kid: 'k', personId: world.secondResearcher },
    );
    expect(first.found).toHaveLength(1);
    expect(first.searchedTo).not.toBeNull();
    expect(search({ runId, personId: world.secondResearcher })).toEqual({
      searched: 2,
      ids: [...later, ...theirs.reverse()],
    });
    expect(search({ runId, vouchedBy: 'lab' })).toEqual({ searched: 2, ids: [] });
  });

  test('that are live passes over all that are older than a token can be', () => {
    const runId = addRun('r', world.researcher);
    addTokens(MOST_TOKENS_SEARCHED, { runId, at: NOW - 2 * HOUR });
    const live = addTokens(3, { runId, at: NOW - HOUR + 1 });
    const liveAt = NOW;
    expect(search({ runId, liveAt })).toEqual({ searched: 1, ids: live.reverse() });
    expect(search({ runId, liveAt, vouchedBy: 'lab' })).toEqual({ searched: 1, ids: [] });
  });
});

describe('a search of runs', () => {
  const search = (filter: Omit<RunFilter, 'now'>) =>
    pages((page) => listRuns(writer.context.db, page, { ...filter, now: NOW }));

  test('goes from one run of a person to the next, and ends early among those of others', () => {
    const { researcher, secondResearcher, grant } = world;
    const first = addRun('first', researcher, NOW - 2 * HOUR);
    const second = addRun('second', secondResearcher, NOW - HOUR);
    addTokens(5, { runId: first });
    addTokens(5, { runId: second });
    addTokens(5, { runId: second, personId: secondResearcher });
    const none = { $client: writer.context.db.$client };
    none.$client.transaction(() => {
      for (let i = 0; i < MOST_RUNS_SEARCHED; i += 1) addRun(`x${i}`, world.lead);
    })();
    expect(search({ personId: researcher })).toEqual({ searched: 1, ids: [second, first] });
    expect(search({ personId: secondResearcher, grantId: grant.id }).ids).toEqual([second]);
    expect(search({ personId: world.lead }).ids).toEqual([]);
    // The newest of them are the lead's.
    const { found, searchedTo } = listRuns(
      writer.context.db,
      { limit: 10 },
      { labId: world.host, now: NOW },
    );
    expect(found).toEqual([]);
    expect(searchedTo).not.toBeNull();
    expect(search({ labId: world.host })).toEqual({ searched: 2, ids: [] });
  });

  test('knows the last use of a run without its tokens, and of a part in it by the part alone', () => {
    const { researcher, secondResearcher, lead } = world;
    const runId = addRun('shared', researcher);
    const [used = ''] = addTokens(2, { runId });
    const [shared = ''] = addTokens(1, { runId, personId: secondResearcher });
    writer.commit(writer.call('noteTokenUse', { uses: [[used, NOW + 7]] }));
    const seen = (seenBy?: string) => {
      const filter = { id: runId, personId: seenBy, seenBy, now: NOW };
      const [run] = listRuns(writer.context.db, { limit: 1 }, filter).found;
      return run && [run.liveTokens, run.lastUsedAt];
    };
    expect([seen(), seen(researcher), seen(secondResearcher), seen(lead)]).toEqual([
      [3, NOW + 7],
      [3, NOW + 7],
      [1, null],
      undefined,
    ]);
    const uses: [string, number][] = [
      [shared, NOW + 5],
      [used, NOW + 3],
    ];
    writer.commit(writer.call('noteTokenUse', { uses }));
    expect([seen(), seen(secondResearcher)]).toEqual([
      [3, NOW + 7],
      [1, NOW + 5],
    ]);
    // It stays with the run when the tokens' own are gone.
    writer.context.db.$client.prepare('UPDATE tokens SET last_used_at = NULL').run();
    expect(seen()).toEqual([3, NOW + 7]);
  });
});
