/** A broker as far as `sallyport connect` sees it: bound tokens, nonces, a gateway that does what a test says. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import {
  EmbeddedJWK,
  calculateJwkThumbprint,
  decodeProtectedHeader,
  jwtVerify,
  type JWK,
} from 'jose';

export const MODEL = 'demo-model';

export type GatewayHandler = (req: IncomingMessage, res: ServerResponse, body: Buffer) => void;

interface Issued {
  jkt: string;
  expiresAt: number;
  revoked: boolean;
}

export interface GatewayRequest {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
  token: string;
}

export class ConnectBroker {
  url = '';
  /** Under which it knows itself, where that is another address. */
  publicUrl: string | undefined;
  /** Seconds that a token lives. */
  lifetime = 600;
  tokenType = 'DPoP';
  operations = ['chat.completions', 'messages', 'models'];
  /** What the token endpoint refuses with. */
  refuseTokens: { status: number; error: string; code: string; description: string } | undefined;
  /** What requests for a token wait for. */
  holdTokens: Promise<void> = Promise.resolve();
  /** Whether a proof must carry the nonce of the moment. */
  nonce: string | undefined = 'nonce-1';
  /** What answers an accepted request of the gateway. */
  gateway: GatewayHandler = (_req, res) => sendJson(res, 200, { id: 'answer' });
  /** Answers of the control API, by path. */
  readonly control = new Map<string, object>();
  readonly issued = new Map<string, Issued>();
  /** Tokens by a key that was retired. */
  readonly retired = new Set<string>();
  /** What was asked for with each token. */
  readonly asked: object[] = [];
  readonly handedBack: string[] = [];
  readonly requests: GatewayRequest[] = [];
  challenges = 0;
  readonly #jtis = new Set<string>();
  readonly #server = createServer((req, res) => {
    res.on('error', () => undefined);
    this.#answer(req, res).catch((error: unknown) =>
      res.headersSent
        ? res.destroy()
        : sendJson(res, 500, { error: { code: 'test', message: String(error) } }),
    );
  });

  static async start(): Promise<ConnectBroker> {
    const broker = new ConnectBroker();
    await new Promise<void>((resolve) => broker.#server.listen(0, '127.0.0.1', resolve));
    broker.url = `http://127.0.0.1:${(broker.#server.address() as AddressInfo).port}`;
    return broker;
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  get #self(): string {
    return this.publicUrl ?? this.url;
  }

  /** Ends all tokens, as an order to revoke does. */
  revokeAll(): void {
    for (const token of this.issued.values()) token.revoked = true;
  }

  /** Lets all tokens expire now. */
  expireAll(): void {
    for (const token of this.issued.values()) token.expiresAt = 0;
  }

  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body = await buffer(req);
    const path = (req.url ?? '').split('?')[0] ?? '';
    if (path === '/.well-known/oauth-authorization-server')
      return sendJson(res, 200, {
        issuer: this.#self,
        token_endpoint: `${this.#self}/oauth/token`,
      });
    if (path === '/oauth/token') return this.#token(req, res, body);
    if (path === '/oauth/revoke') {
      const token = new URLSearchParams(body.toString()).get('token') ?? '';
      this.handedBack.push(token);
      return void res.writeHead(200).end();
    }
    if (path.startsWith('/api/v1')) {
      const known = this.control.get(path.slice('/api/v1'.length));
      return known
        ? sendJson(res, 200, known)
        : sendJson(res, 404, { detail: 'There is no such thing.', code: 'not_found' });
    }
    return this.#proxied(req, res, body);
  }

  async #token(req: IncomingMessage, res: ServerResponse, body: Buffer): Promise<void> {
    await this.holdTokens;
    const form = new URLSearchParams(body.toString());
    const details = form.get('authorization_details');
    // Of the control API.
    if (details === null)
      return sendJson(res, 200, { access_token: 'c.o.n', token_type: 'Bearer', expires_in: 600 });
    const assertion = form.get('client_assertion') ?? '';
    if (this.#jtis.has(assertion)) throw new Error('the assertion was used twice');
    this.#jtis.add(assertion);
    if (this.refuseTokens) {
      const { status, error, code, description } = this.refuseTokens;
      return sendJson(res, status, { error, code, error_description: description });
    }
    const proof = await this.#proof(req, `${this.#self}/oauth/token`);
    if (proof.nonce !== this.nonce && this.nonce !== undefined) {
      this.challenges += 1;
      res.setHeader('dpop-nonce', this.nonce);
      return sendJson(res, 400, { error: 'use_dpop_nonce', error_description: 'Use the nonce.' });
    }
    const asked = (JSON.parse(details) as [Record<string, unknown>])[0];
    this.asked.push(asked);
    const token = `h.${this.issued.size + 1}.s`;
    this.issued.set(token, {
      jkt: proof.jkt,
      expiresAt: Date.now() + this.lifetime * 1000,
      revoked: false,
    });
    sendJson(res, 200, {
      access_token: token,
      token_type: this.tokenType,
      expires_in: this.lifetime,
      authorization_details: [
        { run_id: 'run_1', models: [MODEL], operations: this.operations, features: {}, ...asked },
      ],
    });
  }

  async #proxied(req: IncomingMessage, res: ServerResponse, body: Buffer): Promise<void> {
    const path = req.url ?? '';
    const token = /^DPoP (\S+)$/.exec(req.headers.authorization ?? '')?.[1] ?? '';
    const known = this.issued.get(token);
    if (!known || this.retired.has(token))
      return refuse(res, 401, 'invalid_token', 'That is no token of this broker.');
    const htu = `${this.#self}${path.split('?')[0]}`;
    const proof = await this.#proof(req, htu);
    const ath = createHash('sha256').update(token).digest('base64url');
    if (proof.jkt !== known.jkt || proof.ath !== ath || proof.htm !== req.method)
      return refuse(res, 401, 'invalid_dpop_proof', 'The proof is not right.');
    if (this.nonce !== undefined) res.setHeader('dpop-nonce', this.nonce);
    if (this.nonce !== undefined && proof.nonce !== this.nonce) {
      this.challenges += 1;
      res.setHeader('www-authenticate', 'DPoP error="use_dpop_nonce", algs="EdDSA"');
      return refuse(res, 401, 'use_dpop_nonce', 'Use the nonce.');
    }
    if (known.revoked)
      return refuse(res, 401, 'token_revoked', 'The access token has been revoked.');
    if (known.expiresAt <= Date.now())
      return refuse(res, 401, 'token_expired', 'The access token has expired.');
    const { method = '', headers } = req;
    this.requests.push({ method, path, headers, body: body.toString(), token });
    this.gateway(req, res, body);
  }

  /** Checks all of a proof that does not depend on the server's state. */
  async #proof(
    { headers: { dpop } }: IncomingMessage,
    htu: string,
  ): Promise<{ jkt: string; htm: unknown; ath: unknown; nonce: unknown }> {
    const { payload } = await jwtVerify(String(dpop), EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: ['EdDSA'],
      maxTokenAge: 60,
    });
    if (payload['htu'] !== htu) throw new Error(`the proof is for ${String(payload['htu'])}`);
    if (this.#jtis.has(payload.jti ?? '')) throw new Error('the proof was used twice');
    this.#jtis.add(payload.jti ?? '');
    const jwk = decodeProtectedHeader(String(dpop))['jwk'] as JWK;
    if ('d' in jwk) throw new Error('the private key left the process');
    const jkt = await calculateJwkThumbprint(jwk, 'sha256');
    return { jkt, htm: payload['htm'], ath: payload['ath'], nonce: payload['nonce'] };
  }
}

function sendJson(res: ServerResponse, status: number, body: object): void {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** Refuses as the gateway does. */
export function refuse(res: ServerResponse, status: number, code: string, message: string): void {
  const error = { type: 'permission_error', code, message, param: null };
  sendJson(res, status, { type: 'error', error, request_id: 'req_1' });
}
