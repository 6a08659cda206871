/** The configuration file: every option, its default and its consequence. */
import { z } from 'zod';
import { endpointSchema } from '../core/endpoints.ts';
import { isSameUrl, isTrustworthyUrl, issuerSchema } from '../core/lab-identity.ts';
import { authorityRulesSchema } from '../core/authority-rules.ts';
import { exclusionsSchema } from '../core/exclusions.ts';
import { isLoopback } from '../core/loopback.ts';
import { forwardSchema } from '../core/forwarding.ts';
import { noticeChannelsSchema } from '../core/notice-channels.ts';
import { retentionSchema } from '../core/audit/retention.ts';
import { checkWitnessConfig, witnessShape } from '../core/audit/witness-settings.ts';
import { networkSchema } from '../core/networks.ts';

const seconds = (min: number, max: number, fallback: number): z.ZodDefault<z.ZodNumber> =>
  z.number().min(min).max(max).default(fallback);

const serverSchema = z.strictObject({
  host: z.string().min(1).default('127.0.0.1'),
  port: z.int().min(0).max(65_535).default(8787),
  publicUrl: z
    .url({
      protocol: /^https?$/,
      error: 'must be an http:// or https:// URL',
      // What is no URL at all is not looked at any further.
      abort: true,
    })
    .refine(
      (url) => new URL(url).pathname === '/' && !url.includes('?') && !url.includes('#'),
      'must be an origin such as https://sallyport.example, without a path',
    )
    .transform((url) => new URL(url).origin)
    .optional(),
  issuer: z
    .url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' })
    .refine((url) => !/[?#]|\/$/.test(url), 'must have no query, fragment or final slash')
    .optional(),
  tls: z.strictObject({ certFile: z.string().min(1), keyFile: z.string().min(1) }).optional(),
  behindProxy: z.strictObject({ trustedNetworks: z.array(networkSchema).min(1) }).optional(),
  shutdownSeconds: seconds(0, 600, 30),
});

const logSchema = z.strictObject({
  origin: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9./_:-]{0,199}$/,
      'must look like log.example.org/sallyport: letters, digits and . / _ : -, without spaces or "+"',
    )
    .default('localhost/sallyport'),
});

const gatewaySchema = z.strictObject({
  maxBodyBytes: z.int().min(1024).max(268_435_456).default(4_194_304),
  maxBufferedBytes: z.int().min(1024).max(17_179_869_184).default(268_435_456),
  maxResponseBytes: z.int().min(1024).max(1_073_741_824).default(67_108_864),
  bodySeconds: seconds(1, 600, 30),
  connectSeconds: seconds(0.1, 60, 5),
  firstByteSeconds: seconds(1, 3600, 120),
  idleSeconds: seconds(1, 3600, 120),
  keepAliveSeconds: seconds(0, 3600, 15),
  requestSeconds: seconds(1, 86_400, 900),
});

const failuresSchema = z.strictObject({
  longestHoldSeconds: z.number().min(0).max(30).default(4),
  perAddressPerMinute: z.int().min(1).max(1_000_000).default(1_200),
});

const tokensSchema = z.strictObject({
  failures: failuresSchema.prefault({}),
  livePerPerson: z.int().min(1).max(1_000_000).default(1_000),
  controlLifetimeSeconds: z.int().min(60).max(3600).default(600),
  keyOverlapSeconds: z.int().min(120).max(604_800).default(600),
});

const federationSchema = z.strictObject({
  allowInsecureLoopback: z.boolean().default(false),
  audiences: z
    .array(z.strictObject({ issuer: issuerSchema }))
    .max(64)
    .default([]),
  assertionLifetimeSeconds: z.int().min(30).max(300).default(300),
});

const loggingSchema = z.strictObject({
  level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  requests: z.boolean().default(true),
});

const metricsSchema = z.strictObject({
  host: z.string().min(1).default('127.0.0.1'),
  port: z.int().min(0).max(65_535),
  allowRemote: z.boolean().default(false),
});

export const configSchema = z
  .strictObject({
    server: serverSchema.prefault({}),
    dataDir: z.string().min(1).default('./sallyport-data'),
    log: logSchema.prefault({}),
    endpoints: z.array(endpointSchema).max(64).default([]),
    authority: authorityRulesSchema.prefault({}),
    neverGrant: exclusionsSchema.prefault({}),
    gateway: gatewaySchema.prefault({}),
    tokens: tokensSchema.prefault({}),
    federation: federationSchema.prefault({}),
    logging: loggingSchema.prefault({}),
    metrics: metricsSchema.optional(),
    notices: noticeChannelsSchema.prefault({}),
    ...witnessShape,
    forward: forwardSchema.prefault({}),
    retention: retentionSchema.optional(),
  })
  .superRefine((config, context) => {
    const fail = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path, message });
    const { host, tls, behindProxy, publicUrl } = config.server;
    if (!isLoopback(host) && !tls && !behindProxy) {
      fail(
        ['server', 'host'],
        `"${host}" is reachable from outside, so tokens would travel in the clear. Set server.tls, or server.behindProxy if a proxy in front does TLS, or listen on 127.0.0.1`,
      );
    }
    if (tls && behindProxy)
      fail(
        ['server', 'tls'],
        'cannot be combined with server.behindProxy: either the broker does TLS or the proxy',
      );
    if ((tls || behindProxy) && !publicUrl)
      fail(
        ['server', 'publicUrl'],
        'is needed with server.tls or server.behindProxy: it is the issuer of tokens, and what clients call',
      );
    if (publicUrl?.startsWith('http:') && !isLoopback(new URL(publicUrl).hostname))
      fail(['server', 'publicUrl'], 'must be https: tokens would travel in the clear');
    const { metrics } = config;
    if (metrics && !isLoopback(metrics.host) && !metrics.allowRemote) {
      fail(
        ['metrics', 'host'],
        `"${metrics.host}" is reachable from outside, and whoever reaches it reads the metrics. Listen on 127.0.0.1, or set metrics.allowRemote where only your monitoring reaches that address`,
      );
    }
    if (config.gateway.maxBufferedBytes < config.gateway.maxBodyBytes)
      fail(['gateway', 'maxBufferedBytes'], 'must not be less than gateway.maxBodyBytes');
    for (const [i, { issuer }] of config.federation.audiences.entries()) {
      const path = ['federation', 'audiences', i, 'issuer'];
      if (!isTrustworthyUrl(issuer, config.federation.allowInsecureLoopback)) {
        fail(
          path,
          'must be https: assertions would travel in the clear. http is only for brokers on this machine, with federation.allowInsecureLoopback',
        );
      }
      const own = config.server.issuer ?? publicUrl;
      if (own !== undefined && isSameUrl(own, issuer))
        fail(path, 'is this broker: here, people are known by their own keys');
    }
    checkWitnessConfig(config, fail);
    const seen = new Set<string>();
    for (const [i, { id }] of config.endpoints.entries()) {
      if (seen.has(id)) fail(['endpoints', i, 'id'], `"${id}" is used twice`);
      seen.add(id);
    }
  });

export type Config = z.infer<typeof configSchema>;
