/** Who calls the gateway: the credential, and what it stands for. */
import type { IncomingMessage } from 'node:http';
import type { EntryDraft } from '../core/audit/entry.ts';
import { refuse } from '../core/denials.ts';
import type { Grant } from '../core/grants.ts';
import type { Member } from '../core/people.ts';
import type { AccessToken, TokenAccess } from '../oauth/access-token.ts';
import type { Gateway } from './gateway.ts';

export interface Caller {
  member: Member;
  token: AccessToken;
  access: TokenAccess;
  /** Undefined only if the grant is gone from the store, which decisions refuse. */
  grant: Grant | undefined;
}

/**
 * Reads the one credential of a request. SDKs send it as `Authorization: Bearer`, some as `x-api-key`.
 *
 * @throws RefusedError
 */
function credentialOf(req: IncomingMessage): string {
  // Every header by itself: Node drops a second Authorization, and a proxy might have taken that one.
  const { authorization = [], 'x-api-key': keys = [] } = req.headersDistinct;
  const sent = new Set([...authorization.map(bearerOf), ...keys.map((key) => key.trim())]);
  if (sent.size > 1) refuse('conflicting_credentials');
  const [credential] = sent;
  return credential ?? refuse('missing_credential');
}

function bearerOf(authorization: string): string {
  return (
    /^Bearer +([^\s]+) *$/i.exec(authorization)?.[1] ??
    refuse('invalid_token', 'The Authorization header must be "Bearer" and an access token.')
  );
}

/** @throws RefusedError */
export async function identify(gateway: Gateway, req: IncomingMessage): Promise<Caller> {
  const { broker, tokens } = gateway;
  const token = await tokens.check(credentialOf(req), 'gateway');
  const member = broker.policy.member(token.personId);
  if (!member || !token.access) return refuse('invalid_token');
  return { member, token, access: token.access, grant: broker.policy.grant(token.access.grant) };
}

/** What every entry about a caller says. */
export function callerParts(
  { member, token, access, grant }: Caller,
  requestId: string,
): Omit<EntryDraft, 'id' | 'kind' | 'at'> {
  return {
    actor: { person: member.person.id, lab: member.lab.id, roles: member.person.roles },
    ref: requestId,
    lab: member.lab.id,
    person: member.person.id,
    grant: access.grant,
    grantVersion: grant?.version,
    token: token.id,
    purpose: access.purpose,
    run: access.run,
  };
}
