/** Who calls the gateway: the credential, and what it stands for. */
import type { IncomingMessage } from 'node:http';
import type { EntryDraft } from '../core/audit/entry.ts';
import { refuse } from '../core/denials.ts';
import type { Grant } from '../core/grants.ts';
import type { Narrowing } from '../core/narrowing.ts';
import type { Member } from '../core/people.ts';
import type { AccessToken, TokenAccess } from '../oauth/access-token.ts';
import { parseAuthorization, type Credential } from '../oauth/authorization-header.ts';
import type { Gateway } from './gateway.ts';

export interface Caller {
  member: Member;
  token: AccessToken;
  access: TokenAccess;
  /** Undefined only if the grant is gone from the store, which decisions refuse. */
  grant: Grant | undefined;
  /** What the token gave up of the grant. */
  narrowing: Narrowing | null;
  /** Whether the token is bound to a key that the client proved to hold. */
  bound: boolean;
}

/**
 * Reads the one credential of a request. SDKs send it as `Authorization: Bearer`, some as `x-api-key`;
 * a token that is bound to a key comes as `Authorization: DPoP`.
 *
 * @throws RefusedError
 */
function credentialOf(req: IncomingMessage): Credential {
  // Every header by itself: Node drops a second Authorization, and a proxy might have taken that one.
  const sent = valuesOf(req, 'authorization').map(mustParse);
  for (const key of valuesOf(req, 'x-api-key')) sent.push({ scheme: 'Bearer', token: key.trim() });
  const [credential] = sent;
  if (!credential) return refuse('missing_credential');
  const { scheme, token } = credential;
  if (sent.some((other) => other.scheme !== scheme || other.token !== token))
    return refuse('conflicting_credentials');
  return credential;
}

/** Every value that a header came with. Of all headers, `headersDistinct` would make a list each. */
function valuesOf({ headers, rawHeaders }: IncomingMessage, name: string): string[] {
  const values: string[] = [];
  if (headers[name] === undefined) return values;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const sent = rawHeaders[i] as string;
    if (sent.length === name.length && sent.toLowerCase() === name)
      values.push(rawHeaders[i + 1] as string);
  }
  return values;
}

function mustParse(header: string): Credential {
  return (
    parseAuthorization(header) ??
    refuse(
      'missing_credential',
      'The Authorization header must be "Bearer" or "DPoP" and an access token.',
    )
  );
}

/** @throws RefusedError */
export async function identify(gateway: Gateway, req: IncomingMessage): Promise<Caller> {
  const { broker, tokens } = gateway;
  const { scheme, token: presented } = credentialOf(req);
  const token = await tokens.check(
    {
      scheme,
      token: presented,
      proofs: valuesOf(req, 'dpop'),
      method: req.method ?? '',
      url: `${broker.publicUrl}${(req.url ?? '').split('?', 1)[0]}`,
    },
    'gateway',
  );
  const { policy } = broker;
  const member = policy.member(token.personId);
  const known = policy.token(token.id);
  if (!member || !known || !token.access) return refuse('invalid_token');
  return {
    member,
    token,
    access: token.access,
    grant: policy.grant(token.access.grant),
    narrowing: known.narrowing,
    bound: known.jkt !== null,
  };
}

/** What every entry about a caller says. */
export function callerParts(
  { member, token, access, grant }: Caller,
  requestId: string,
): Omit<EntryDraft, 'id' | 'kind' | 'at'> & { token: string } {
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

/** Who asks, as orders are held against it. */
export const callerSubject = ({ member, token, access }: Caller, grant: Grant) => ({
  personId: member.person.id,
  labId: member.lab.id,
  grantId: grant.id,
  tokenId: token.id,
  purpose: access.purpose,
  runId: access.run,
});
