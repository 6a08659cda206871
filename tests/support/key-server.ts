/** A lab that publishes its keys: a real HTTP server on loopback, whose answers a test sets. */
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type KeyAnswer = (res: ServerResponse, req: IncomingMessage) => void;

export class KeyServer {
  readonly url: string;
  /** How many requests have come. */
  requests = 0;
  /** What the next requests are answered with. */
  answer: KeyAnswer = (res) => res.writeHead(500).end();
  readonly #server: ReturnType<typeof createServer>;
  #waiting: (() => void)[] = [];

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
    server.on('request', (req, res) => {
      this.requests += 1;
      this.answer(res, req);
      for (const resume of this.#waiting.splice(0)) resume();
    });
  }

  static async start(): Promise<KeyServer> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new KeyServer(server);
  }

  /** Answers with these keys from now on. */
  publish(kids: string[], headers: Record<string, string> = {}): void {
    const keys = kids.map(makeJwk);
    this.answer = (res) => sendKeys(res, { keys }, headers);
  }

  /** Resolves once another request has come. */
  nextRequest(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** A new public key under a name. */
export function makeJwk(kid: string): object {
  return { ...generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }), kid };
}

/** Answers with a JWK set, whole. */
export function sendKeys(
  res: ServerResponse,
  set: unknown,
  headers: Record<string, string> = {},
): void {
  res.writeHead(200, { 'content-type': 'application/jwk-set+json', ...headers });
  res.end(JSON.stringify(set));
}
