/** What is asked of the proxied path. */

interface Goal {
  must: number;
  aim: number;
  better: 'more' | 'less';
}

const GOALS = {
  throughputOfPipe: { must: 0.45, aim: 0.7, better: 'more' },
  throughputOfPortkey: { must: 6, aim: 10, better: 'more' },
  addedMsP50: { must: 0.8, aim: 0.4, better: 'less' },
  addedMsP99: { must: 3, aim: 1.5, better: 'less' },
  addedFirstByteMsP50: { must: 1.5, aim: 0.7, better: 'less' },
  streams: { must: 500, aim: 2_000, better: 'more' },
  memoryAfterLoad: { must: 1.3, aim: 1.1, better: 'less' },
  throughputOnLongLog: { must: 0.9, aim: 1, better: 'more' },
  exportJsonLinesSeconds: { must: 15, aim: 15, better: 'less' },
  exportParquetSeconds: { must: 25, aim: 25, better: 'less' },
  exportMiB: { must: 200, aim: 200, better: 'less' },
  sealedOfDigest: { must: 0.75, aim: 0.85, better: 'more' },
  cutMs: { must: 250, aim: 50, better: 'less' },
} satisfies Record<string, Goal>;

/** A gap between two events may be longer by this than without anything in between. */
export const MOST_ADDED_GAP_MS = 10;

/** Says what is asked for, and whether it is so. */
export function goal(name: keyof typeof GOALS, value: number): string {
  const { must, aim, better }: Goal = GOALS[name];
  const say = (word: string, limit: number): string => {
    const isMet = better === 'more' ? value >= limit : value <= limit;
    return `${word} ${better === 'more' ? '≥' : '≤'} ${limit}${isMet ? '' : ' MISSED'}`;
  };
  return `${say('must', must)}, ${say('aim', aim)}`;
}
