/** The port on loopback: who may use it, and how it is drained. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';
import { failed, wrongUsage } from '../problems.ts';
import { breakOff, forward, type Onward } from './forward.ts';
import type { LimitRefusal } from './limit-refusal.ts';
import { Line, type Turn } from './line.ts';
import { LocalKey } from './local-key.ts';
import {
  LocalRefusedError,
  localRefusal,
  refusalAsGateway,
  sendLocalRefusal,
  type LocalRefusal,
} from './local-refusal.ts';
import { readBody } from './read-body.ts';
import type { PassedRefusal } from './tail.ts';

/** How long the broker may be silent: longer than any model thinks. The broker has deadlines of its own. */
const SILENCE_MS = 2 * 60 * 60 * 1000;

/** Longer than clients keep a connection, so that none is closed under a request that is on its way. */
const KEEP_ALIVE_MS = 75_000;

/** Connections that became idle while the port drains are closed this often. */
const DRAIN_EVERY_MS = 50;

export interface ProxyParts extends Omit<Onward, 'pool'> {
  /** 0: any free one. */
  port: number;
  /** How long a request may wait for limits. */
  waitMs: number;
  /** A request waits for a limit that it was refused for. */
  onWait: (limit: LimitRefusal) => void;
  /** A request was refused here, and not passed on. */
  onLocalRefusal: (refusal: LocalRefusal) => void;
  /** A request came, waits or ended. */
  onChange: () => void;
}

export interface Proxy {
  /** The origin, without a slash at its end. */
  url: string;
  /** The local key. */
  key: string;
  /** Requests so far, those of them that run, those that wait for limits, and those that were refused or cut. */
  counts: () => { total: number; running: number; waiting: number; refused: number };
  /** Takes note of how many requests the grant allows at once; null: no limit. */
  allow: (concurrent: number | null) => void;
  /** Takes no new requests, refuses those that wait, and resolves when the last one has ended. */
  drain: () => Promise<void>;
  /** Breaks off whatever runs. */
  close: () => Promise<void>;
}

/** Listens on 127.0.0.1. @throws CliError when the port cannot be had */
export async function startProxy(parts: ProxyParts): Promise<Proxy> {
  const key = new LocalKey();
  const server = createServer({ noDelay: true, keepAliveTimeout: KEEP_ALIVE_MS });
  const { port } = await listen(server, parts.port);
  const pool = new Pool(new URL(parts.brokerUrl).origin, {
    connections: null,
    pipelining: 1,
    headersTimeout: SILENCE_MS,
    bodyTimeout: SILENCE_MS,
  });
  const line = new Line(parts.waitMs, parts);
  const running = new Set<ServerResponse>();
  let total = 0;
  let refused = 0;
  let draining = false;

  const answer = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const refusal = refusalFor(req, key, port);
    if (refusal) throw new LocalRefusedError(refusal);
    if (draining) throw new LocalRefusedError(localRefusal('local_stopping'));
    total += 1;
    running.add(res);
    parts.onChange();
    let isRefused = false;
    const onRefusal = (why: PassedRefusal): void => {
      isRefused = true;
      parts.onRefusal(why);
    };
    // Of the socket, too: a response that waits behind another in a pipeline does not hear of its end.
    const gone = new AbortController();
    const onClose = (): void => {
      if (!res.writableFinished) gone.abort();
    };
    res.once('close', onClose);
    req.socket.once('close', onClose);
    let turn: Turn | undefined;
    try {
      const body = await readBody(req);
      // No limit is for what is only looked up.
      turn = req.method === 'POST' ? await line.enter(body.length, gone.signal) : undefined;
      const onward = { ...parts, pool, onRefusal };
      await forward(onward, req, res, req.url ?? '', body, turn, gone.signal);
    } catch (error) {
      isRefused ||= error instanceof LocalRefusedError;
      throw error;
    } finally {
      turn?.end();
      if (isRefused) refused += 1;
      res.off('close', onClose);
      req.socket.off('close', onClose);
      running.delete(res);
      parts.onChange();
    }
  };
  server.on('request', (req, res) => {
    // A socket that breaks is noticed by 'close'; without a listener its error would end the process.
    res.on('error', () => undefined);
    answer(req, res).catch((error: unknown) => {
      // What has begun can only be broken off; a client that has gone is told nothing.
      if (res.headersSent || res.destroyed) return breakOff(res);
      const refusal =
        error instanceof LocalRefusedError ? error.refusal : localRefusal('broker_unexpected');
      parts.onLocalRefusal(refusal);
      // Nothing more is read from whoever has not shown the key.
      const close = refusal.code.startsWith('local_');
      sendLocalRefusal(res, refusal, close ? { connection: 'close' } : {});
    });
  });

  return {
    url: `http://127.0.0.1:${port}`,
    key: key.text,
    counts: () => ({
      total,
      running: running.size - line.waiting,
      waiting: line.waiting,
      refused,
    }),
    allow: (concurrent) => line.allow(concurrent),
    drain: () => {
      draining = true;
      line.stop();
      const timer = setInterval(() => server.closeIdleConnections(), DRAIN_EVERY_MS);
      return new Promise((resolve) => {
        server.close(() => {
          clearInterval(timer);
          resolve();
        });
      });
    },
    close: async () => {
      server.close();
      line.stop();
      for (const res of running) breakOff(res);
      server.closeAllConnections();
      await pool.destroy();
    },
  };
}

/** Why a request may not pass at all: null where it comes from the person's own programs, for a path of the gateway. */
function refusalFor(req: IncomingMessage, key: LocalKey, port: number): LocalRefusal | null {
  // A page in a browser can make a name of its own lead here, but not change what is asked for.
  const hosts = (req.headersDistinct['host'] ?? []).map((host) => host.toLowerCase());
  const own = new Set([`127.0.0.1:${port}`, `localhost:${port}`]);
  if (hosts.length !== 1 || !hosts.every((host) => own.has(host)))
    return localRefusal('local_host_wrong');
  return key.refusalFor(req) ?? (isGatewayPath(req.url ?? '') ? null : UNKNOWN_PATH);
}

const UNKNOWN_PATH = refusalAsGateway(
  'unknown_path',
  'Only paths under /v1 are passed on. An OpenAI base URL ends in /v1; an Anthropic base URL does not.',
);

/** Whether a path is under /v1 as it stands, and not only until somebody resolves its dots. */
function isGatewayPath(url: string): boolean {
  const [path = ''] = url.split('?', 1);
  if (!path.startsWith('/v1/') || !URL.canParse(path, 'http://localhost')) return false;
  return new URL(path, 'http://localhost').pathname === path;
}

function listen(server: Server, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? wrongUsage(`Port ${port} is in use. Leave --port out, or choose another.`, error)
          : failed(`Cannot listen on 127.0.0.1:${port}: ${error.code ?? error.message}.`, error),
      ),
    );
    server.listen(port, '127.0.0.1', () => resolve(server.address() as AddressInfo));
  });
}
