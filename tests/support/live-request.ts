/** A request in flight, without a gateway: admitted as the gateway admits, settled by the test. */
import { randomBytes } from 'node:crypto';
import { admitRequest } from '../../src/broker/admit-request.ts';
import type { Grant } from '../../src/core/grants.ts';
import type { Amount } from '../../src/core/limits.ts';
import { Cancellation } from '../../src/lib/cancellation.ts';
import { mintId } from '../../src/lib/ids.ts';
import { settleArgs } from './store.ts';
import type { TestPerson } from './people.ts';
import type { TestBroker } from './test-broker.ts';

export interface LiveTestRequest {
  id: string;
  /** Aborted by whatever cuts the request. */
  cancellation: Cancellation;
  /** Ends it: nothing was forwarded, so everything that was reserved goes back. */
  end(): Promise<void>;
}

/** Admits a request for the grant's first model. Whoever calls this ends it. */
export async function admitForTest(
  { broker }: TestBroker,
  grant: Grant,
  person: TestPerson,
  amount: Amount = { tokens: 100, spendNanoUsd: 0 },
): Promise<LiveTestRequest> {
  const now = broker.clock();
  const id = mintId('req', now);
  const cancellation = new Cancellation();
  const [first] = grant.spec.endpoints;
  const tokenId = mintId('tok', now);
  const token = {
    id: tokenId,
    audience: 'gateway' as const,
    personId: person.id,
    kid: person.kid,
    grantId: grant.id,
    expiresAt: now + 60_000,
    revokedAt: null,
    runId: null,
    purpose: 'scheming' as const,
    jkt: null,
    narrowing: null,
  };
  broker.policy.apply([{ kind: 'token', value: token }], broker.policy.epoch);
  const { live } = await admitRequest(broker, {
    facts: {
      requestId: id,
      personId: person.id,
      labId: person.labId,
      roles: person.roles,
      grantId: grant.id,
      grantVersion: grant.version,
      tokenId,
      purpose: 'scheming',
      runId: mintId('run', now),
      operation: 'chat.completions',
      endpoint: first?.endpoint ?? '',
      model: first?.models[0] ?? '',
      stream: true,
      features: [],
      restored: [],
    },
    address: '192.0.2.7',
    amount,
    salt: randomBytes(16).toString('base64'),
    data: '',
    cancellation,
  });
  return {
    id,
    cancellation,
    end: async () => {
      broker.live.leave(live);
      const { requestId, charge, data, result } = settleArgs(id, now, 'not_forwarded');
      await broker.settler.settle({ requestId, charge, data, result });
    },
  };
}
