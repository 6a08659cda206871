/** A server that answers what a test tells it, to see what commands make of it. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

interface Asked {
  method: string;
  path: string;
  body: string;
}

export type Answer = (req: IncomingMessage, res: ServerResponse) => void;

export interface FakeBroker {
  url: string;
  asked: Asked[];
  /** What a path answers from now on. */
  on(path: string, answer: Answer | object): void;
  close(): Promise<void>;
}

/** Knows its own name and gives a token to anybody; everything else is up to the test. */
export async function startFakeBroker(): Promise<FakeBroker> {
  const answers = new Map<string, Answer>();
  const asked: Asked[] = [];
  const answer = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const path = (req.url ?? '').split('?')[0] ?? '';
    asked.push({ method: req.method ?? '', path, body: await text(req) });
    const known = answers.get(path);
    if (known) known(req, res);
    else res.writeHead(404).end('<h1>Not found</h1>');
  };
  const server = createServer((req, res) => {
    void answer(req, res);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const on: FakeBroker['on'] = (path, what) =>
    void answers.set(path, typeof what === 'function' ? (what as Answer) : json(200, what));
  on('/.well-known/oauth-authorization-server', { issuer: url });
  on('/oauth/token', { access_token: 'a.b.c', expires_in: 60, token_type: 'Bearer' });
  return {
    url,
    asked,
    on,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

export function json(status: number, body: object): Answer {
  return (_req, res) =>
    void res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
