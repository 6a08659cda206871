/** Assertions by which the host lab vouches for its people at other brokers. */
import { refuse } from '../../core/denials.ts';
import { readActiveKid } from '../signing-key-rows.ts';
import { controlOperation, mustReach, type By } from './operation.ts';

/**
 * Records that an assertion is made for the caller, before it is signed.
 *
 * @returns who it is about, in the host lab's own words, and the key that is to sign it
 */
export const recordAssertion = controlOperation(
  'assertion.issue',
  (
    context,
    args: {
      by: By;
      audience: string;
      /** Issuers of the brokers that the configuration lists. */
      audiences: readonly string[];
      jti: string;
      expiresAt: number;
    },
    who,
  ): { subject: string; signingKid: string } => {
    const { person, lab } = who.member;
    mustReach(who, { labId: lab.id, personId: person.id });
    if (!args.audiences.includes(args.audience)) {
      const listed = args.audiences.length === 0 ? 'at none so far' : args.audiences.join(', ');
      refuse(
        'invalid_request',
        `This lab vouches for its people only at the brokers that its configuration lists (federation.audiences): ${listed}.`,
        { param: 'audience' },
      );
    }
    const subject = person.subject ?? person.id;
    const signingKid = readActiveKid(context.db) ?? refuse('unexpected');
    context.append({
      id: args.by.entryId,
      kind: 'assertion.issued',
      at: args.by.at,
      actor: who.actor,
      ref: args.jti,
      lab: lab.id,
      person: person.id,
      data: {
        audience: args.audience,
        subject,
        jti: args.jti,
        expiresAt: new Date(args.expiresAt).toISOString(),
        signedWith: signingKid,
      },
    });
    return { subject, signingKid };
  },
);
