/** A grant as a file holds it, and as the API answers it. */
import { createHash } from 'node:crypto';
import { grantSpecSchema } from '../../src/core/grants.ts';

export const LAB = `lab_${'0'.repeat(26)}`;
export const PERSON = `per_${'0'.repeat(26)}`;
export const GRANT = `grt_${'0'.repeat(26)}`;

export const sampleSpec = (termsText = 'Be careful.') => ({
  title: 'Round one',
  lab: LAB,
  endpoints: [{ endpoint: 'chat', models: ['model-1'] }],
  operations: ['chat.completions'],
  purposes: { allowed: ['bias'] },
  people: [{ person: PERSON }],
  window: { from: '2026-01-01T00:00:00Z', until: '2026-02-01T00:00:00Z' },
  terms: { version: '1', text: termsText },
});

export const sampleGrant = (termsText = 'Be careful.') => ({
  id: GRANT,
  revision: 'r1',
  lab: LAB,
  state: 'approved',
  status: 'approved',
  statusReason: { code: 'grant_not_active', message: 'The grant is approved, not active.' },
  version: 3,
  spec: grantSpecSchema.parse(sampleSpec(termsText)),
  termsDigest: createHash('sha256').update(termsText, 'utf8').digest('hex'),
  authorIds: [PERSON],
  approvals: [{ personId: PERSON, as: 'admin', at: '2026-01-01T00:00:00.000Z' }],
  approvalsNeeded: ['admin', 'safety'],
  proposed: null,
  acceptedBy: [],
  acceptedForLabBy: null,
  joiners: [],
  leavers: [],
  takenOff: [],
  reviewDueAt: null,
  endedAt: null,
  roster: [{ personId: PERSON, until: null, removed: false, lacking: [] }],
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
});
