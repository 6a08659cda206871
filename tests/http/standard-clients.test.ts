/** Two clients that others wrote, unmodified, against the whole broker. */
import type { KeyObject, webcrypto } from 'node:crypto';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Grant } from '../../src/core/grants.ts';
import type { TestPerson } from '../support/people.ts';
import { HELLO, startRunningBroker, type RunningBroker } from '../support/running-broker.ts';

let running: RunningBroker;
let bound: Grant;
let researcher: TestPerson;

beforeAll(async () => {
  running = await startRunningBroker();
  ({ researcher } = running.people);
  bound = await running.grant({ binding: 'dpop' });
});
afterAll(async () => {
  running.checkUpstream();
  await running.close();
});

/** The key as the Web Cryptography API has it, which both clients take. */
function cryptoKeyOf(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const der = key.export({ type: 'pkcs8', format: 'der' });
  return crypto.subtle.importKey('pkcs8', der, { name: 'Ed25519' }, false, ['sign']);
}

const detailsOf = (grant: Grant, more: object = {}): string =>
  JSON.stringify([
    { type: 'model_access', grant: grant.id, purpose: 'hallucination', run: 'standard', ...more },
  ]);

interface Detail {
  grant: string;
  run: string;
  models: string[];
  operations: string[];
  features: Record<string, unknown>;
}

const insecure = { [oauth.allowInsecureRequests]: true };

describe('oauth4webapi', () => {
  let as: oauth.AuthorizationServer;
  let client: oauth.Client;
  let authentication: oauth.ClientAuth;

  beforeAll(async () => {
    const issuer = new URL(running.url);
    const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure });
    as = await oauth.processDiscoveryResponse(issuer, found);
    client = { client_id: researcher.id };
    const key = await cryptoKeyOf(researcher.privateKey);
    authentication = oauth.PrivateKeyJwt({ key, kid: researcher.kid });
  });

  async function getToken(
    parameters: Record<string, string>,
    DPoP?: oauth.DPoPHandle,
  ): Promise<oauth.TokenEndpointResponse> {
    const options = { ...insecure, ...(DPoP ? { DPoP } : {}) };
    const ask = async (): Promise<oauth.TokenEndpointResponse> =>
      oauth.processClientCredentialsResponse(
        as,
        client,
        await oauth.clientCredentialsGrantRequest(as, client, authentication, parameters, options),
      );
    try {
      return await ask();
    } catch (error) {
      if (!oauth.isDPoPNonceError(error)) throw error;
      return ask();
    }
  }

  it('finds its way by the metadata of the protected resource', async () => {
    const resource = new URL(`${running.url}/v1`);
    const answer = await oauth.resourceDiscoveryRequest(resource, insecure);
    const metadata = await oauth.processResourceDiscoveryResponse(resource, answer);
    expect(metadata.authorization_servers).toEqual([as.issuer]);
    expect(metadata.dpop_signing_alg_values_supported).toContain('ES256');
  });

  it('gets a token by client_credentials, introspects and revokes it', async () => {
    const grant = await running.grant();
    const token = await getToken({
      authorization_details: detailsOf(grant, {
        models: ['model-a-1'],
        operations: ['chat.completions'],
        features: { streaming: false, maxOutputTokens: 100 },
      }),
    });
    expect(token.token_type).toBe('bearer');
    const [granted] = token.authorization_details as unknown as Detail[];
    expect(granted).toMatchObject({
      grant: grant.id,
      run: 'standard',
      models: ['model-a-1'],
      operations: ['chat.completions'],
      features: { streaming: false, systemPrompt: true, maxOutputTokens: 100 },
    });

    const introspect = async (): Promise<oauth.IntrospectionResponse> =>
      oauth.processIntrospectionResponse(
        as,
        client,
        await oauth.introspectionRequest(as, client, authentication, token.access_token, insecure),
      );
    const before = await introspect();
    expect(before).toMatchObject({
      active: true,
      iss: as.issuer,
      sub: researcher.id,
      client_id: researcher.id,
      aud: `${running.url}/v1`,
      token_type: 'Bearer',
      authorization_details: [granted],
    });
    const revoked = await oauth.revocationRequest(
      as,
      client,
      authentication,
      token.access_token,
      insecure,
    );
    await oauth.processRevocationResponse(revoked);
    expect(await introspect()).toEqual({ active: false });
  });

  it.each(['ES256', 'EdDSA', 'PS256'])(
    'binds a token with %s, learns the nonces, and calls a model with it',
    async (algorithm) => {
      const pair = await oauth.generateKeyPair(algorithm);
      const DPoP = oauth.DPoP(client, pair);
      const token = await getToken({ authorization_details: detailsOf(bound) }, DPoP);
      expect(token.token_type).toBe('dpop');

      const call = (): Promise<Response> =>
        oauth.protectedResourceRequest(
          token.access_token,
          'POST',
          new URL(`${running.url}/v1/chat/completions`),
          new Headers({ 'content-type': 'application/json' }),
          JSON.stringify(HELLO),
          { DPoP, ...insecure },
        );
      const answer = await call().catch((error: unknown) => {
        if (!oauth.isDPoPNonceError(error)) throw error;
        return call();
      });
      expect(answer.status).toBe(200);
      expect(answer.headers.get('dpop-nonce')).toMatch(/^[\w-]+$/);

      const answered = await oauth.introspectionRequest(
        as,
        client,
        authentication,
        token.access_token,
        insecure,
      );
      const introspected = await oauth.processIntrospectionResponse(as, client, answered);
      expect(introspected).toMatchObject({ active: true, token_type: 'DPoP' });
      expect(introspected.cnf?.jkt).toBe(await DPoP.calculateThumbprint());
    },
  );

  it('is told why in the words of the standards', async () => {
    const refused = getToken({ authorization_details: detailsOf(bound) });
    await expect(refused).rejects.toMatchObject({ error: 'invalid_dpop_proof', status: 400 });
    const unknown = getToken({ authorization_details: '[{"type":"model_access","surprise":1}]' });
    await expect(unknown).rejects.toMatchObject({ error: 'invalid_authorization_details' });
    const more = getToken({ authorization_details: detailsOf(bound, { features: { n: 99 } }) });
    await expect(more).rejects.toMatchObject({ status: 400 });
  });
});

describe('openid-client', () => {
  let config: openid.Configuration;

  beforeAll(async () => {
    const key = await cryptoKeyOf(researcher.privateKey);
    config = await openid.discovery(
      new URL(running.url),
      researcher.id,
      undefined,
      openid.PrivateKeyJwt({ key, kid: researcher.kid }),
      { algorithm: 'oauth2', execute: [openid.allowInsecureRequests] },
    );
  });

  it('gets, introspects and revokes a token', async () => {
    const grant = await running.grant();
    const token = await openid.clientCredentialsGrant(config, {
      authorization_details: detailsOf(grant),
    });
    expect(token.token_type).toBe('bearer');
    const before = await openid.tokenIntrospection(config, token.access_token);
    expect(before).toMatchObject({ active: true, sub: researcher.id });
    await openid.tokenRevocation(config, token.access_token);
    expect(await openid.tokenIntrospection(config, token.access_token)).toEqual({ active: false });
  });

  it('binds a token and calls a model with it, nonces included', async () => {
    const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair());
    const token = await openid.clientCredentialsGrant(
      config,
      { authorization_details: detailsOf(bound) },
      { DPoP },
    );
    expect(token.token_type).toBe('dpop');
    const answer = await openid.fetchProtectedResource(
      config,
      token.access_token,
      new URL(`${running.url}/v1/chat/completions`),
      'POST',
      JSON.stringify(HELLO),
      new Headers({ 'content-type': 'application/json' }),
      { DPoP },
    );
    expect(answer.status).toBe(200);
    const bearer = await fetch(`${running.url}/v1/models`, {
      headers: { authorization: `Bearer ${token.access_token}` },
    });
    expect(bearer.status).toBe(401);
    expect(bearer.headers.get('www-authenticate')).toMatch(/^DPoP error="invalid_token"/);
  });
});
