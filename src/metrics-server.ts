/** The metrics on an address of their own, so that who may read them is decided by who can reach it. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Gauges } from './broker/gauges.ts';
import type { Readiness } from './broker/readiness.ts';
import type { Config } from './config/schema.ts';
import { ALIVE, readinessAnswer, sendHealth } from './http/health.ts';
import type { Logger } from './lib/log.ts';
import { bind, urlOf } from './listener.ts';

/** A scrape has a few headers, no body, and no patience. */
const BOUNDS = { maxHeaderSize: 8 * 1024, headersTimeout: 5_000, requestTimeout: 5_000 };
const MOST_CONNECTIONS = 32;

/** Nothing here is for browsers. */
const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

export interface MetricsServer {
  /** The address it listens on, as a URL. */
  url: string;
  /** Hangs up on everybody. */
  close(): Promise<void>;
}

interface Parts {
  gauges: Gauges;
  readiness: Readiness;
  log: Logger;
}

/** @throws with a sentence that says what to do */
export async function serveMetrics(
  address: NonNullable<Config['metrics']>,
  parts: Parts,
): Promise<MetricsServer> {
  const server = createServer(BOUNDS, (req, res) => {
    answer(parts, req, res).catch((error: unknown) => {
      parts.log.error({ err: String(error) }, 'the metrics could not be read');
      refuse(res, 500, 'The metrics could not be read; the log of the broker says why.');
    });
  });
  server.maxConnections = MOST_CONNECTIONS;
  await bind(server, address, 'metrics.port');
  return { url: urlOf(server, false), close: () => close(server) };
}

async function answer({ gauges, readiness }: Parts, req: IncomingMessage, res: ServerResponse) {
  for (const [name, value] of Object.entries(HEADERS)) res.setHeader(name, value);
  if (req.method !== 'GET') {
    res.setHeader('allow', 'GET');
    return refuse(res, 405, 'This address takes GET.');
  }
  if (req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length']) > 0)
    return refuse(res, 400, 'Send no body.');
  const path = req.url ?? '';
  switch (path) {
    case '/metrics': {
      const text = await gauges.text();
      res.setHeader('content-type', gauges.contentType);
      res.end(text);
      return;
    }
    case '/healthz':
      return sendHealth(res, ALIVE);
    case '/readyz':
      return sendHealth(res, readinessAnswer(await readiness.state()));
    default:
      refuse(res, 404, 'Here are /metrics, /healthz and /readyz.');
  }
}

/** Also hangs up: what a body would have held is not read. */
function refuse(res: ServerResponse, status: number, sentence: string): void {
  if (res.headersSent) return void res.destroy();
  res.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
  res.end(`${sentence}\n`);
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
