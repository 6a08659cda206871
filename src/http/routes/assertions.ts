/** Assertions by which this lab vouches for its people at the brokers of other labs. */
import { z } from 'zod';
import { issueAssertion } from '../../broker/issue-assertion.ts';
import { issuerSchema } from '../../core/lab-identity.ts';
import { route } from '../route.ts';
import { instant, toInstant } from '../schemas.ts';

export const ASSERTION_ROUTES = [
  route({
    method: 'post',
    path: '/api/v1/assertions',
    action: 'assertion.issue',
    tag: 'Tokens',
    summary: "Get this lab's word for the caller",
    description:
      'An assertion (RFC 7523, section 2.1), good once, at the token endpoint of the broker whose issuer it is addressed to. The configuration lists those brokers.',
    body: z.strictObject({
      audience: issuerSchema.describe('Issuer of the broker that is to take it'),
    }),
    status: 201,
    answer: z.object({ assertion: z.string(), expiresAt: instant }),
    handle: async ({ broker, actorId, body }) => {
      const { assertion, expiresAt } = await issueAssertion(broker, actorId, body.audience);
      return { assertion, expiresAt: toInstant(expiresAt) };
    },
  }),
];
