/** The composition root: makes every part of the broker, hands each what it needs, and takes it down again. */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { TokenChecker } from './broker/authenticate-token.ts';
import type { Broker } from './broker/broker.ts';
import { LiveRequests } from './broker/live-requests.ts';
import { Policy } from './broker/policy.ts';
import { recordSystem, recoverFromCrash } from './broker/run-broker.ts';
import { Settler } from './broker/settle-request.ts';
import { UnauthenticatedTally } from './broker/unauthenticated-tally.ts';
import type { Config } from './config/schema.ts';
import { clientAddress } from './gateway/client-address.ts';
import type { Gateway } from './gateway/gateway.ts';
import { createGatewayHandler } from './gateway/handler.ts';
import { Upstream } from './gateway/upstream.ts';
import { createControlApp } from './http/app.ts';
import { systemClock, type Clock } from './lib/clock.ts';
import type { Logger } from './lib/log.ts';
import { openSigningKey } from './oauth/signing-key.ts';
import { Store } from './store/client.ts';
import { prepareDataDirectory } from './store/data-directory.ts';
import { Readers } from './store/readers.ts';

/** The compiled file of the writer thread. */
export const WRITER_THREAD = new URL('./writer.js', import.meta.url);

/** The log counts as writable again after this long without a failure. */
const READY_AFTER_MS = 2_000;

/** Tokens and assertions that have expired are forgotten this often. */
const TIDY_EVERY_MS = 60_000;

/** Headers larger than this are refused by Node itself, with 431. */
const MAX_HEADER_BYTES = 32 * 1024;

export interface ServerOptions {
  config: Config;
  log: Logger;
  clock?: Clock;
  writerThread?: URL;
}

export interface RunningServer {
  /** Where clients reach it: `server.publicUrl`, or the address it listens on. */
  url: string;
  dataDir: string;
  broker: Broker;
  /** Resolves with a reason when the broker has to stop: its log can never be written again. */
  failed: Promise<string>;
  /** Stops accepting, lets requests finish within the deadline, settles what is left, closes the store. */
  close(): Promise<void>;
}

/** @throws with a sentence that says what to do, and nothing started */
export async function startServer({
  config,
  log,
  clock = systemClock,
  writerThread = WRITER_THREAD,
}: ServerOptions): Promise<RunningServer> {
  const directory = prepareDataDirectory(config.dataDir);
  const upstreams = openUpstreams(config);
  const store = await Store.open(
    writerThread,
    { dataDir: directory.path, origin: config.log.origin },
    clock,
  );
  const readers = new Readers(directory.database);
  const policy = new Policy(readers.readPolicy(clock()), 0);
  const live = new LiveRequests(clock);
  let fail: (reason: string) => void = () => undefined;
  const failed = new Promise<string>((resolve) => (fail = resolve));
  store.subscribe({
    onPolicyChanged(changes, epoch) {
      policy.apply(changes, epoch);
      live.decideAgain();
    },
    onFatal: (reason) => fail(reason),
  });
  const server = createServer(config);
  let handle: RequestListener = (_req, res) => res.writeHead(503, { 'retry-after': '1' }).end();
  server.on('request', (req, res) => handle(req, res));
  try {
    await listen(server, config);
  } catch (error) {
    await store.close();
    throw error;
  }
  const url = config.server.publicUrl ?? addressOf(server);
  const parts = { store, live, clock, log };
  const broker: Broker = {
    clock,
    log,
    issuer: url,
    audiences: { gateway: `${url}/v1`, control: `${url}/api/v1` },
    controlTokenLifetimeMs: config.tokens.controlLifetimeSeconds * 1000,
    signingKey: await openSigningKey(join(directory.keys, 'token.pem')),
    endpoints: new Map(config.endpoints.map((endpoint) => [endpoint.id, endpoint])),
    store,
    readers,
    policy,
    live,
    settler: new Settler(parts),
    unauthenticated: new UnauthenticatedTally(parts),
  };
  await recoverFromCrash(broker);
  await recordSystem(broker, 'system.started');
  // From the first moment there is a checkpoint to hold the log against.
  await store.write('publishCheckpoint', { at: clock() });
  let closing = false;
  const tokens = new TokenChecker(broker);
  const gateway: Gateway = {
    broker,
    tokens,
    upstreams,
    settings: {
      body: { maxBytes: config.gateway.maxBodyBytes, timeoutMs: config.gateway.bodySeconds * 1000 },
      maxResponseBytes: config.gateway.maxResponseBytes,
      requestMs: config.gateway.requestSeconds * 1000,
    },
    resourceMetadataUrl: `${url}/.well-known/oauth-protected-resource/v1`,
    addressOf: (req) => clientAddress(req, config.server.behindProxy?.trustedNetworks),
    isClosing: () => closing,
  };
  const isReady = (): boolean => !closing && !store.failedWithin(READY_AFTER_MS);
  handle = dispatcher(
    createGatewayHandler(gateway),
    createControlApp(broker, { tokens, publicUrl: url, isReady }),
  );
  const tidying = setInterval(() => tidy(broker), TIDY_EVERY_MS);

  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    closing = true;
    clearInterval(tidying);
    const drained = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    const deadline = setTimeout(() => {
      live.cutAll();
      // What does not even take its error is hung up on.
      setTimeout(() => server.closeAllConnections(), 1_000).unref();
    }, config.server.shutdownSeconds * 1000);
    await drained;
    clearTimeout(deadline);
    await live.empty();
    await broker.settler.flush();
    await broker.unauthenticated.close();
    await recordSystem(broker, 'system.stopped').catch((error: unknown) =>
      log.error({ err: String(error) }, 'the stop could not be recorded'),
    );
    await Promise.all([...upstreams.values()].map((upstream) => upstream.close()));
    readers.close();
    await store.close();
  };
  return { url, dataDir: directory.path, broker, failed, close: () => (closed ??= close()) };
}

function openUpstreams(config: Config): Map<string, Upstream> {
  const { connectSeconds, firstByteSeconds, idleSeconds } = config.gateway;
  const times = {
    connectMs: connectSeconds * 1000,
    firstByteMs: firstByteSeconds * 1000,
    idleMs: idleSeconds * 1000,
  };
  return new Map(config.endpoints.map((endpoint) => [endpoint.id, new Upstream(endpoint, times)]));
}

/** The gateway stands ahead of Express: the proxied path needs none of it. */
function dispatcher(gateway: RequestListener, control: RequestListener): RequestListener {
  return (req, res) => (isGatewayPath(req) ? gateway(req, res) : control(req, res));
}

function isGatewayPath({ url = '' }: IncomingMessage): boolean {
  return url === '/v1' || url.startsWith('/v1/') || url.startsWith('/v1?');
}

function createServer({ server: { tls } }: Config): Server {
  const options = { maxHeaderSize: MAX_HEADER_BYTES, noDelay: true, keepAlive: true };
  if (!tls) return createHttpServer(options);
  return createHttpsServer({
    ...options,
    cert: readFileSync(tls.certFile),
    key: readFileSync(tls.keyFile),
    minVersion: 'TLSv1.2',
  });
}

function listen(server: Server, { server: { host, port } }: Config): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const inUse =
        error.code === 'EADDRINUSE'
          ? `Port ${port} of ${host} is in use. Choose another with server.port.`
          : error.message;
      reject(new Error(inUse, { cause: error }));
    });
    server.listen(port, host, () => resolve());
  });
}

function addressOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

function tidy({ policy, store, clock, log }: Broker): void {
  const now = clock();
  policy.forgetExpiredTokens(now);
  store
    .write('forgetExpiredAssertions', { now })
    .catch((error: unknown) =>
      log.warn({ err: String(error) }, 'expired assertions were not forgotten'),
    );
}
