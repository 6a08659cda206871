/** What the entries hold that searches are measured on. */
import type { EntryDraft } from '../../../src/core/audit/entry.ts';
import { mintId } from '../../../src/lib/ids.ts';

const SAMPLE = {
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

const COMMITMENT = 'K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=';

/** Two entries of each request in turn; now and then another kind. */
export function entryAt(n: number, at: number): EntryDraft {
  const request = n >>> 1;
  const { labs, people, grants, tokens, runs, purposes, models } = SAMPLE;
  const lab = idOf('lab', request % labs);
  const person = idOf('per', request % people);
  const draft: EntryDraft = {
    id: mintId('ent', at),
    kind: n % 2 === 0 ? 'request.intent' : 'request.outcome',
    at,
    actor: { person, lab, roles: ['researcher'] },
    ref: idOf('req', request),
    lab,
    person,
    grant: idOf('grt', request % grants),
    grantVersion: 1,
    token: idOf('tok', Math.floor(request / (2_500_000 / tokens))),
    purpose: purposes[request % purposes.length],
    run: idOf('run', request % runs),
    endpoint: request % 7 === 0 ? 'other' : 'demo',
    // Each purpose has models of its own: two frequent values that never meet.
    model: models[request % models.length],
    operation: request % 5 === 0 ? 'messages' : 'chat.completions',
  };
  if (n % 100_000 === 77_777)
    return {
      ...draft,
      kind: 'order.issued',
      ref: idOf('ord', n),
      lab: undefined,
      data: { grant: idOf('grt', 0) },
    };
  if (n % 2 === 0)
    return {
      ...draft,
      decision: 'allowed',
      data: {
        safeguardsLifted: ['output-classifier'],
        features: ['systemPrompt'],
        requestBytes: 300,
        requestCommitment: COMMITMENT,
        stream: false,
        reserved: { tokens: 190, spendNanoUsd: 1_338_000 },
      },
    };
  const end = request % 50 === 0 ? 'cut' : 'completed';
  return {
    ...draft,
    ...(end === 'cut' ? { reason: 'grant_suspended', orders: [idOf('ord', request % 10)] } : {}),
    data: {
      upstreamStatus: 200,
      durationMs: 412,
      firstByteMs: 80,
      responseBytes: 450,
      responseCommitment: COMMITMENT,
      modelAnswered: draft.model,
      end,
      usage: { inputTokens: 40, outputTokens: 64, source: 'reported' },
      charged: { requests: 1, tokens: 104, spendNanoUsd: 1_080_000 },
    },
  };
}
