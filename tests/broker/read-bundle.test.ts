/** Entry bundles that are pruned while their reading is put on record. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { readEntryBundle } from '../../src/broker/read-bundle.ts';
import { makePeople, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let running: TestBroker;
let people: People;

beforeAll(async () => {
  running = await startTestBroker();
  people = await makePeople(running);
  await running.broker.store.write('publishCheckpoint', { at: Date.now() });
});
afterAll(() => running?.close());

test('a bundle that was pruned meanwhile is refused as archived', async () => {
  const { broker } = running;
  const read = (): Promise<Buffer> => readEntryBundle(broker, people.auditor.id, 0, 4);
  expect((await read()).length).toBeGreaterThan(0);
  const begins = vi.spyOn(broker.readers, 'minimumIndex');
  const note = vi.spyOn(broker.bundleReadings, 'note').mockImplementation(() => {
    begins.mockReturnValue(256);
    return Promise.resolve();
  });
  await expect(read()).rejects.toMatchObject({ refusal: { code: 'entry_archived' } });
  expect(note).toHaveBeenCalledOnce();
  vi.restoreAllMocks();
});
