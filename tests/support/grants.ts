/** Grants of a test. */
import type { z } from 'zod';
import { createGrant, stepGrant } from '../../src/broker/manage-grants.ts';
import { grantSpecSchema, type Grant } from '../../src/core/grants.ts';
import type { People } from './people.ts';
import type { TestBroker } from './test-broker.ts';

export type GrantInput = z.input<typeof grantSpecSchema>;

/** A grant for the first partner: its lead and first researcher, both models, three purposes, a day. */
export function grantInput(people: People, changes: Partial<GrantInput> = {}): GrantInput {
  const now = Date.now();
  return {
    title: 'Red-teaming of model A',
    lab: people.partner.id,
    endpoints: [{ endpoint: 'demo', models: ['model-a-1', 'model-b-1'] }],
    operations: ['chat.completions', 'messages', 'models'],
    features: { streaming: true, systemPrompt: true, maxOutputTokens: 1000 },
    purposes: {
      allowed: ['hallucination', 'sycophancy', 'scheming'],
      excluded: ['privacy_leakage'],
    },
    people: [{ person: people.lead.id }, { person: people.researcher.id }],
    window: {
      from: new Date(now - 3_600_000).toISOString(),
      until: new Date(now + 86_400_000).toISOString(),
    },
    terms: { version: '1', text: 'Results stay between the two labs.' },
    ...changes,
  };
}

/** Takes a grant through the whole procedure, until the lead and the first researcher may use it. */
export async function makeActiveGrant(
  { broker }: TestBroker,
  people: People,
  changes: Partial<GrantInput> = {},
): Promise<Grant> {
  const { lead, researcher, admin, safety } = people;
  const spec = grantSpecSchema.parse(grantInput(people, changes));
  const { id, termsDigest } = await createGrant(broker, lead.id, spec);
  await stepGrant(broker, lead.id, id, 'submit', {});
  await stepGrant(broker, admin.id, id, 'approve', {});
  await stepGrant(broker, safety.id, id, 'approve', {});
  const active = await stepGrant(broker, lead.id, id, 'accept', { termsDigest });
  const onRoster = active.spec.people.some((entry) => entry.person === researcher.id);
  return onRoster ? stepGrant(broker, researcher.id, id, 'accept', { termsDigest }) : active;
}
