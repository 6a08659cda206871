/** How a grant says in plain words who is on its roster. */
import { expect, it } from 'vitest';
import { describeGrant } from '../../src/cli/grant/describe.ts';
import { grantSchema } from '../../src/cli/wire.ts';
import { sampleGrant } from './sample-grant.ts';

const idOf = (letter: string): string => `per_${letter.repeat(26)}`;
const [there, left, removed, joined, both] = ['a', 'b', 'c', 'd', 'e'].map(idOf) as [
  string,
  string,
  string,
  string,
  string,
];

it('shows each person once: until when, removed, or gone by themselves', () => {
  const until = '2026-01-20T00:00:00.000Z';
  const place = (personId: string, changes: object = {}) => ({
    personId,
    until: null,
    removed: false,
    lacking: [],
    ...changes,
  });
  const named = [there, left, removed, both].map((person) => ({ person }));
  const grant = grantSchema.parse({
    ...sampleGrant(),
    spec: { ...sampleGrant().spec, people: named, maxPeople: 9 },
    joiners: [
      { personId: joined, until: null },
      { personId: both, until },
    ],
    leavers: [left],
    takenOff: [],
    roster: [
      place(there),
      place(removed, { removed: true }),
      place(both, { until }),
      place(joined),
    ],
  });
  const shown = describeGrant(grant, (text) => (text === there ? `Ann (${there})` : text));
  expect(shown.filter(([what]) => what === 'person' || what === 'joined')).toEqual([
    ['person', `Ann (${there})`],
    ['person', `${left}, who handed the place back`],
    ['person', `${removed}, who was removed`],
    ['person', expect.stringContaining(`${both} until 2026-01-20`)],
    ['joined', joined],
  ]);
});
