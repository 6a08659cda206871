/** The documents by which clients find their way: RFC 8414 and RFC 9728. */
import { ASSERTION_TYPE } from '../oauth/client-assertion.ts';
import { DPOP_ALGORITHMS } from '../oauth/dpop-proof.ts';
import { GRANT_TYPES } from '../oauth/token-request.ts';
import type { Control } from './route.ts';

const SIGNING_ALGORITHMS = ['EdDSA', 'Ed25519'];

/** Metadata of the authorization server (RFC 8414). */
export function authorizationServerMetadata({ broker, publicUrl }: Control): object {
  return {
    issuer: broker.issuer,
    token_endpoint: `${publicUrl}/oauth/token`,
    revocation_endpoint: `${publicUrl}/oauth/revoke`,
    jwks_uri: `${publicUrl}/oauth/jwks`,
    response_types_supported: [],
    grant_types_supported: GRANT_TYPES,
    token_endpoint_auth_methods_supported: ['private_key_jwt'],
    token_endpoint_auth_signing_alg_values_supported: SIGNING_ALGORITHMS,
    revocation_endpoint_auth_methods_supported: ['private_key_jwt'],
    revocation_endpoint_auth_signing_alg_values_supported: SIGNING_ALGORITHMS,
    introspection_endpoint: `${publicUrl}/oauth/introspect`,
    introspection_endpoint_auth_methods_supported: ['private_key_jwt'],
    introspection_endpoint_auth_signing_alg_values_supported: SIGNING_ALGORITHMS,
    dpop_signing_alg_values_supported: DPOP_ALGORITHMS,
    client_assertion_types_supported: [ASSERTION_TYPE],
    authorization_details_types_supported: ['model_access'],
    protected_resources: [broker.audiences.gateway, broker.audiences.control],
    service_documentation: `${publicUrl}/api/docs`,
  };
}

/**
 * Metadata of a protected resource (RFC 9728).
 *
 * @param resource its identifier: the URL that the well-known path was inserted into
 */
export function protectedResourceMetadata(
  { broker, publicUrl }: Control,
  resource: string,
): object {
  return {
    resource,
    authorization_servers: [broker.issuer],
    bearer_methods_supported: ['header'],
    dpop_signing_alg_values_supported: DPOP_ALGORITHMS,
    // A grant can ask for it; then tokens under it are bound.
    dpop_bound_access_tokens_required: false,
    resource_name: 'Sallyport',
    resource_documentation: `${publicUrl}/api/docs`,
    ...(resource === broker.audiences.control
      ? {}
      : { authorization_details_types_supported: ['model_access'] }),
  };
}
