/** The composition root: makes every part of the broker, hands each what it needs, and takes it down again. */
import type { IncomingMessage, RequestListener } from 'node:http';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TokenChecker } from './broker/authenticate-token.ts';
import type { Broker } from './broker/broker.ts';
import { WITNESS_KEY_FILE, openWitnessKey, witnessNameOf } from './audit/witness-key.ts';
import { WitnessAsker } from './broker/ask-witnesses.ts';
import { CallRate } from './broker/call-rate.ts';
import { policyOf } from './core/audit/witness-settings.ts';
import { NoticeDeliverer, warnOfIdleChannels } from './broker/deliver-notices.ts';
import { ExportThreads } from './broker/export-threads.ts';
import { FailureBrake } from './broker/failure-brake.ts';
import { Followers } from './broker/followers.ts';
import { LogForwarder } from './broker/forward-log.ts';
import { LogFeed } from './broker/log-feed.ts';
import { Gauges } from './broker/gauges.ts';
import { LiveRequests } from './broker/live-requests.ts';
import { advanceSigningKeys, openSigningKeys } from './broker/manage-signing-keys.ts';
import { Metrics } from './broker/metrics.ts';
import { Policy } from './broker/policy.ts';
import { PruneChallenges } from './broker/prune-challenges.ts';
import { Readiness } from './broker/readiness.ts';
import { BundleReadings } from './broker/bundle-readings.ts';
import { RepeatedDenials } from './broker/repeated-denials.ts';
import { recordSystem, recoverFromCrash, warnOfStrayBits } from './broker/run-broker.ts';
import { TranscriptRetention } from './broker/destroy-transcripts.ts';
import { runAgenda } from './broker/run-agenda.ts';
import { Settler } from './broker/settle-request.ts';
import { TokenQuota } from './broker/token-quota.ts';
import { TokenUse } from './broker/token-use.ts';
import { UnauthenticatedTally } from './broker/unauthenticated-tally.ts';
import type { Config } from './config/schema.ts';
import { upstreamKey, upstreamsOf, type UpstreamOfEndpoint } from './core/endpoints.ts';
import { receiversOf } from './core/forwarding.ts';
import { channelsOf } from './core/notice-channels.ts';
import type { Forwarder } from './forward/forwarder.ts';
import { openForwarders } from './forward/open-forwarders.ts';
import { clientAddress } from './gateway/client-address.ts';
import type { Gateway } from './gateway/gateway.ts';
import { createGatewayHandler } from './gateway/handler.ts';
import { Upstream } from './gateway/upstream.ts';
import { createControlApp } from './http/app.ts';
import { whileStarting } from './http/health.ts';
import { systemClock, type Clock } from './lib/clock.ts';
import { IdleCollection } from './lib/idle-collection.ts';
import { RequestLog, type Logger } from './lib/log.ts';
import { listen, type Listener } from './listener.ts';
import { serveMetrics, type MetricsServer } from './metrics-server.ts';
import { openSecretFile } from './lib/key-file.ts';
import { openSenders } from './notices/open-senders.ts';
import { DpopNonces } from './oauth/dpop-nonces.ts';
import { KeyRing } from './oauth/key-ring.ts';
import { LabKeys } from './oauth/lab-keys.ts';
import { Store } from './store/client.ts';
import { configuredBy } from './core/configured.ts';
import { canNarrow, type GrantSettings } from './store/context.ts';
import { prepareDataDirectory, type DataDirectory } from './store/data-directory.ts';
import { Readers } from './store/readers.ts';
import { TranscriptStore } from './store/transcripts/client.ts';
import { TranscriptReader } from './store/transcripts/reader.ts';

/** The compiled file of the writer thread. */
export const WRITER_THREAD = new URL('./writer.js', import.meta.url);

/** That of an export, which stands beside it. */
const EXPORT_THREAD = new URL('./exporter.js', import.meta.url);

/** The compiled file of the thread that keeps transcripts. */
const KEEPER_THREAD = new URL('./transcript-keeper.js', import.meta.url);

/** The compiled file of the thread that writes a file to which the log is forwarded. */
const FILE_THREAD = new URL('./file-forwarder.js', import.meta.url);

const LOOK_IDLE_EVERY_MS = 1_000;

/** While the log cannot be written, it is tried again this often. */
const PROBE_EVERY_MS = 500;

/** Tokens and assertions that have expired are forgotten this often. */
const TIDY_EVERY_MS = 60_000;

/** What falls due is done within this time. */
const AGENDA_EVERY_MS = 1_000;

/** A notice goes out within this time. */
const LOOK_FOR_NOTICES_EVERY_MS = 1_000;

/** Witnesses are asked within this time. */
const ASK_WITNESSES_EVERY_MS = 1_000;

/** Token keys whose time has come take over or retire this often. */
const ADVANCE_KEYS_EVERY_MS = 5_000;

/** Connections to other sides are closed at once; this bounds what none of them should be able to hold up. */
const LET_GO_MS = 2_000;

/** After requests were cut at the deadline, what does not take its error is hung up on. */
const HANG_UP_AFTER_MS = 1_000;

export interface ServerOptions {
  config: Config;
  log: Logger;
  clock?: Clock;
  writerThread?: URL;
  keeperThread?: URL;
  fileThread?: URL;
}

export interface RunningServer {
  /** Where clients reach it: `server.publicUrl`, or the address it listens on. */
  url: string;
  /** Where the metrics are; undefined: nowhere. */
  metricsUrl: string | undefined;
  dataDir: string;
  broker: Broker;
  /** Resolves with a reason when the broker has to stop: its log can never be written again. */
  failed: Promise<string>;
  /** Stops accepting, lets requests finish within the deadline, settles what is left, closes the store. */
  close(): Promise<void>;
}

/** @throws with a sentence that says what to do, and nothing left running */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { config, clock = systemClock, writerThread = WRITER_THREAD } = options;
  const { keeperThread = KEEPER_THREAD, fileThread = FILE_THREAD } = options;
  const upstreams = openUpstreams(config, options.log);
  const senders = openSenders(config.notices);
  const forwarders = openForwarders(config.forward, {
    fileThread,
    hostname: hostnameOf(config),
    onFileFailed: (receiver, err) =>
      options.log.warn(
        { receiver, err },
        'a file that the log is forwarded to could not be written',
      ),
  });
  const directory = prepareDataDirectory(config.dataDir);
  const settings = {
    dataDir: directory.path,
    origin: config.log.origin,
    rules: config.authority,
    grants: grantSettingsOf(config),
    channels: channelsOf(config.notices),
  };
  const store = await Store.open(writerThread, settings, clock);
  let transcripts: TranscriptStore | undefined;
  let listener: Listener | undefined;
  let metrics: MetricsServer | undefined;
  let broken: (code: Parameters<UnauthenticatedTally['count']>[1]) => void = () => undefined;
  try {
    const kept = { path: directory.transcripts };
    transcripts = await TranscriptStore.open(keeperThread, kept, clock);
    listener = await listen(config.server, (code) => broken(code));
    listener.serve(whileStarting);
    const url = config.server.publicUrl ?? listener.url;
    const broker = assemble(
      { ...options, clock, writerThread, forwarders },
      directory,
      { store, transcripts },
      url,
    );
    const failed = follow(broker);
    if (config.metrics) {
      const { readiness, log } = broker;
      metrics = await serveMetrics(config.metrics, { gauges: new Gauges(broker), readiness, log });
    }
    await openSigningKeys(broker);
    warnOfStrayBits(broker);
    broken = (code) => broker.unauthenticated.count('gateway', code);
    await recoverFromCrash(broker);
    if (store.journalWasMissing)
      broker.log.warn('the journal was missing or cut: what only that held is lost, if anything');
    for (const file of store.logKeysMissing)
      broker.log.warn(
        { file },
        'a key of the log that was replaced is gone, and does not sign beside the new one: whoever knows only that one trusts no new checkpoint',
      );
    await recordSystem(broker, 'system.started');
    // From the first moment there is a checkpoint to hold the log against.
    await store.write('publishCheckpoint', { at: clock() });
    warnOfIdleChannels(broker);
    await broker.forwarding.begin();
    const notices = new NoticeDeliverer(broker, senders);
    return serve(config, broker, { listener, metrics, notices }, upstreams, directory, url, failed);
  } catch (error) {
    listener?.hangUp();
    await listener?.drain();
    await metrics?.close();
    await transcripts?.close();
    await store.close();
    throw error;
  }
}

/** What syslog messages say they come from. */
const hostnameOf = ({ server }: Config): string =>
  server.publicUrl === undefined ? hostname() : new URL(server.publicUrl).hostname;

function grantSettingsOf({ endpoints, neverGrant }: Config): GrantSettings {
  const approvalsOf = Object.fromEntries(endpoints.map(({ id, approvals }) => [id, approvals]));
  return { excluded: neverGrant, approvalsOf };
}

function assemble(
  {
    config,
    log,
    clock,
    writerThread,
    forwarders,
  }: Required<Pick<ServerOptions, 'config' | 'log' | 'clock' | 'writerThread'>> & {
    forwarders: ReadonlyMap<string, Forwarder>;
  },
  directory: DataDirectory,
  { store, transcripts }: { store: Store; transcripts: TranscriptStore },
  url: string,
): Broker {
  const readers = new Readers(directory.database);
  transcripts.onTrouble = (why) => {
    if (why === undefined) log.info('transcripts can be kept again');
    else log.error({ err: why }, 'transcripts cannot be kept: what asks for them is refused');
  };
  const endpoints = new Map(config.endpoints.map((endpoint) => [endpoint.id, endpoint]));
  const policy = new Policy(readers.readPolicy(clock()), 0, endpoints);
  const live = new LiveRequests(clock);
  const metrics = new Metrics();
  const feed = new LogFeed();
  const parts = { store, clock, log, metrics, readers, feed };
  return {
    clock,
    log,
    requestLog: new RequestLog(log, config.logging),
    metrics,
    readiness: new Readiness(parts),
    publicUrl: url,
    issuer: config.server.issuer ?? url,
    audiences: { gateway: `${url}/v1`, control: `${url}/api/v1` },
    rules: config.authority,
    configured: configuredBy(config.neverGrant, config.endpoints),
    approvalsOf: grantSettingsOf(config).approvalsOf,
    channels: channelsOf(config.notices),
    controlTokenLifetimeMs: config.tokens.controlLifetimeSeconds * 1000,
    federation: {
      allowInsecureLoopback: config.federation.allowInsecureLoopback,
      audiences: config.federation.audiences.map((audience) => audience.issuer),
      assertionLifetimeMs: config.federation.assertionLifetimeSeconds * 1000,
    },
    signingKeys: new KeyRing(directory.keys),
    keyOverlapMs: config.tokens.keyOverlapSeconds * 1000,
    nonces: new DpopNonces(openSecretFile(join(directory.keys, 'nonce.key'))),
    labKeys: new LabKeys({
      clock,
      log,
      allowInsecureLoopback: config.federation.allowInsecureLoopback,
    }),
    witnesses: {
      asker: new WitnessAsker({ ...parts, readers, policy }, config),
      policy: policyOf(config),
    },
    witness: {
      key: openWitnessKey(
        join(directory.keys, WITNESS_KEY_FILE),
        config.witnessing.name ?? witnessNameOf(config.log.origin),
      ),
      logs: new Map(config.witnessed.map((one) => [one.origin, one])),
      recordEveryMs: config.witnessing.recordEveryMinutes * 60_000,
      rate: new CallRate(clock, config.witnessing.callsPerMinute),
    },
    retention: config.retention,
    endpoints,
    store,
    readers,
    exports: new ExportThreads(
      new URL(basename(EXPORT_THREAD.pathname), writerThread),
      directory.database,
      () => live.count > 0,
    ),
    pruneChallenges: new PruneChallenges(),
    transcripts,
    transcriptReader: new TranscriptReader(directory.transcripts),
    policy,
    live,
    settler: new Settler(parts),
    unauthenticated: new UnauthenticatedTally(parts),
    repeatedDenials: new RepeatedDenials(parts),
    bundleReadings: new BundleReadings(parts),
    tokenQuota: new TokenQuota({ policy, clock, most: config.tokens.livePerPerson }),
    brake: new FailureBrake(clock, {
      longestHoldMs: config.tokens.failures.longestHoldSeconds * 1000,
      mostOfAddress: config.tokens.failures.perAddressPerMinute,
    }),
    tokenUse: new TokenUse(parts),
    feed,
    followers: new Followers(),
    forwarding: new LogForwarder(parts, receiversOf(config.forward), forwarders),
  };
}

/**
 * Keeps what is in memory in step with the store.
 *
 * @returns resolves with a reason when the broker has to stop
 */
function follow({
  store,
  policy,
  signingKeys,
  live,
  metrics,
  readiness,
  feed,
  log,
}: Broker): Promise<string> {
  let isSaid = false;
  return new Promise((resolve) =>
    store.subscribe({
      onPolicyChanged(changes, epoch) {
        policy.apply(changes, epoch);
        // Those who follow the log look again whether they may.
        feed.notify();
        for (const change of changes) if (change.kind === 'key') signingKeys.apply(change.value);
        if (changes.some(canNarrow)) live.decideAgain();
      },
      onCommitted(commit) {
        metrics.committed(commit);
        if (commit.wrote) readiness.wrote();
        if (commit.wrote) isSaid = false;
        if (commit.wrote && !commit.isBehind) feed.notify();
        if (commit.why === undefined || isSaid) return;
        // The first time only: while it cannot be written, each request tries.
        isSaid = true;
        log.error({ err: commit.why }, 'the log could not be written');
      },
      onFatal: resolve,
    }),
  );
}

function serve(
  config: Config,
  broker: Broker,
  {
    listener,
    metrics,
    notices,
  }: { listener: Listener; metrics: MetricsServer | undefined; notices: NoticeDeliverer },
  upstreams: ReadonlyMap<string, Upstream>,
  directory: DataDirectory,
  url: string,
  failed: Promise<string>,
): RunningServer {
  const { store, live, log, clock, readiness } = broker;
  const tokens = new TokenChecker(broker);
  const gateway: Gateway = {
    broker,
    tokens,
    upstreams,
    settings: {
      body: {
        maxBytes: config.gateway.maxBodyBytes,
        timeoutMs: config.gateway.bodySeconds * 1000,
        memory: { used: 0, most: config.gateway.maxBufferedBytes },
      },
      maxResponseBytes: config.gateway.maxResponseBytes,
      keepAliveMs: config.gateway.keepAliveSeconds * 1000,
      requestMs: config.gateway.requestSeconds * 1000,
    },
    resourceMetadataUrl: `${url}/.well-known/oauth-protected-resource/v1`,
    addressOf: (req) => clientAddress(req, config.server.behindProxy?.trustedNetworks),
    isClosing: () => readiness.isStopping,
  };
  const jwksMaxAgeSeconds = Math.floor(config.tokens.keyOverlapSeconds / 2);
  const control = createControlApp(broker, {
    tokens,
    jwksMaxAgeSeconds,
    addressOf: (req) => gateway.addressOf(req),
  });
  const proxied = createGatewayHandler(gateway);
  listener.serve(dispatcher(proxied.handle, control));
  readiness.serving();
  broker.forwarding.start();
  const retention = new TranscriptRetention(broker);
  void retention.look();
  const idle = new IdleCollection();
  const timers = [
    setInterval(() => idle.look(store.begun, live.count > 0), LOOK_IDLE_EVERY_MS),
    setInterval(() => tidy(broker, gateway.settings.requestMs), TIDY_EVERY_MS),
    setInterval(() => void retention.look(), TIDY_EVERY_MS),
    setInterval(() => {
      if (!store.isWritable) store.write('probe', { at: clock() }).catch(() => undefined);
      if (!broker.transcripts.isWritable) broker.transcripts.probe();
    }, PROBE_EVERY_MS),
    setInterval(() => {
      runAgenda(broker).catch((error: unknown) =>
        log.warn({ err: String(error) }, 'what is due was not done'),
      );
    }, AGENDA_EVERY_MS),
    setInterval(() => {
      try {
        notices.look();
      } catch (error) {
        log.warn({ err: String(error) }, 'what is to be delivered could not be read');
      }
    }, LOOK_FOR_NOTICES_EVERY_MS),
    setInterval(
      () => {
        try {
          broker.witnesses.asker.look();
        } catch (error) {
          log.warn({ err: String(error) }, 'witnesses could not be asked');
        }
      },
      Math.min(ASK_WITNESSES_EVERY_MS, config.witnessing.askEverySeconds * 1000),
    ),
    setInterval(() => {
      advanceSigningKeys(broker).catch((error: unknown) =>
        log.warn({ err: String(error) }, 'token keys were not moved on'),
      );
    }, ADVANCE_KEYS_EVERY_MS),
  ];

  const close = async (): Promise<void> => {
    readiness.stopping();
    broker.feed.close();
    const deadline = setTimeout(() => {
      live.cutAll();
      setTimeout(() => listener.hangUp(), HANG_UP_AFTER_MS).unref();
    }, config.server.shutdownSeconds * 1000);
    await listener.drain();
    // A connection that was hung up on may leave a request behind that is still to be recorded.
    await proxied.idle();
    await live.empty();
    clearTimeout(deadline);
    for (const timer of timers) clearInterval(timer);
    await notices.close();
    await broker.forwarding.close();
    await broker.witnesses.asker.close();
    await retention.look();
    await broker.settler.flush();
    await broker.unauthenticated.close();
    await broker.repeatedDenials.close();
    await broker.bundleReadings.close();
    await broker.tokenUse.close();
    await recordSystem(broker, 'system.stopped').catch((error: unknown) =>
      log.error({ err: String(error) }, 'the stop could not be recorded'),
    );
    await metrics?.close();
    await broker.exports.close();
    broker.readers.close();
    broker.transcriptReader.close();
    await broker.transcripts.close();
    await store.close();
    // Last, and not for long: no other side holds up the end of the log.
    const released = Promise.all(
      [...upstreams.values(), broker.labKeys].map((peer) => peer.close()),
    );
    await Promise.race([released, delay(LET_GO_MS, undefined, { ref: false })]);
  };
  let closed: Promise<void> | undefined;
  return {
    url,
    metricsUrl: metrics?.url,
    dataDir: directory.path,
    broker,
    failed,
    close: () => (closed ??= close()),
  };
}

function openUpstreams(config: Config, log: Logger): Map<string, Upstream> {
  const { connectSeconds, firstByteSeconds, idleSeconds } = config.gateway;
  const times = {
    connectMs: connectSeconds * 1000,
    firstByteMs: firstByteSeconds * 1000,
    idleMs: idleSeconds * 1000,
  };
  const open = (one: UpstreamOfEndpoint, i: number): [string, Upstream] => {
    const { endpoint, name } = one;
    try {
      return [upstreamKey(endpoint, name), new Upstream(one, times, log)];
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const where = name === null ? endpoint : `${endpoint}", upstream "${name}`;
      throw new Error(`"endpoints[${i}]" ("${where}"): ${why}`, { cause: error });
    }
  };
  return new Map(
    config.endpoints.flatMap((one, i) => upstreamsOf(one).map((each) => open(each, i))),
  );
}

/** The gateway stands ahead of Express: the proxied path needs none of it. */
function dispatcher(gateway: RequestListener, control: RequestListener): RequestListener {
  return (req, res) => (isGatewayPath(req) ? gateway(req, res) : control(req, res));
}

function isGatewayPath({ url = '' }: IncomingMessage): boolean {
  return url === '/v1' || url.startsWith('/v1/') || url.startsWith('/v1?');
}

function tidy({ policy, store, clock, log }: Broker, longestRequestMs: number): void {
  const now = clock();
  policy.forgetTokensExpiredBefore(now - longestRequestMs);
  for (const what of ['forgetUsed', 'forgetDelivered'] as const)
    store
      .write(what, { now })
      .catch((error: unknown) =>
        log.warn({ err: String(error), what }, 'what is of no use any more was not forgotten'),
      );
}
