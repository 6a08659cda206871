/** What the entries hold that searches are measured on. */

export const SAMPLE = {
  labs: 4,
  people: 40,
  grants: 20,
  tokens: 5_000,
  runs: 800,
  purposes: ['hallucination', 'sycophancy', 'bias', 'scheming'],
  models: ['model-a-1', 'model-b-1', 'model-c-1', 'model-d-1'],
};

export const idOf = (prefix: string, n: number): string =>
  `${prefix}_${String(n).padStart(26, '0')}`;
