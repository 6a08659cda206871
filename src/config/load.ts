/** Reads the configuration file. A wrong one says which option, what is wrong and what would be right. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import type { z } from 'zod';
import { authorityRulesSchema } from '../core/authority-rules.ts';
import type { Endpoint } from '../core/endpoints.ts';
import type { Forwarding } from '../core/forwarding.ts';
import type { NoticeChannels } from '../core/notice-channels.ts';
import { configSchema, type Config } from './schema.ts';

/** Thrown when the configuration cannot be used. Its message is for whoever wrote the file. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Loads the configuration.
 *
 * @param path the file; without one, the embedded defaults hold
 * @returns the configuration, with paths made absolute against the file's folder
 * @throws ConfigError
 */
export function loadConfig(path: string | undefined): Config {
  if (path === undefined) return parseConfig({}, 'the embedded defaults');
  const folder = dirname(resolve(path));
  const value = withAuthorityFile(readYaml(path) ?? {}, folder);
  const config = parseConfig(value, path);
  return withAbsolutePaths(config, folder);
}

function readYaml(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      throw new ConfigError(`There is no configuration file ${path}.`);
    throw new ConfigError(
      `The configuration ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}.`,
    );
  }
  const document = parseDocument(text, { prettyErrors: true });
  const [broken] = document.errors;
  if (broken)
    throw new ConfigError(`The configuration ${path} is not valid YAML: ${broken.message}`);
  try {
    return document.toJS();
  } catch (error) {
    // Aliases that unfold without end.
    throw new ConfigError(
      `The configuration ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}.`,
    );
  }
}

/** `authority` can stand in a file of its own: its path in place of the rules. */
function withAuthorityFile(value: unknown, folder: string): unknown {
  if (typeof value !== 'object' || value === null || !('authority' in value)) return value;
  if (typeof value.authority !== 'string') return value;
  const path = resolve(folder, value.authority);
  const rules = authorityRulesSchema.safeParse(readYaml(path) ?? {});
  if (rules.success) return { ...value, authority: rules.data };
  throw new ConfigError(`The rules of authority ${path} are wrong:\n${linesOf(rules.error)}`);
}

const linesOf = ({ issues }: z.ZodError): string =>
  issues.map((issue) => `  ${describeIssue(issue)}`).join('\n');

/** Checks a configuration. @throws ConfigError that names every wrong option */
export function parseConfig(value: unknown, source: string): Config {
  const parsed = configSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ConfigError(
    `The configuration ${source} is wrong:\n${linesOf(parsed.error)}\nSee config/sallyport.example.yaml for every option.`,
  );
}

function describeIssue(issue: z.core.$ZodIssue): string {
  const at = issue.path
    .map((part, i) =>
      typeof part === 'number' ? `[${part}]` : `${i > 0 ? '.' : ''}${String(part)}`,
    )
    .join('');
  if (issue.code === 'unrecognized_keys') {
    const names = issue.keys.map((key) => `"${at ? `${at}.` : ''}${key}"`);
    return `${names.join(', ')}: no such option. Remove it or correct its name.`;
  }
  if (issue.code === 'invalid_type' && issue.message.includes('received undefined')) {
    return `"${at || 'the file'}": is missing; it must be ${issue.expected === 'array' ? 'a list' : `of type ${issue.expected}`}.`;
  }
  return `"${at || 'the file'}": ${issue.message}.`;
}

function withAbsolutePaths(config: Config, folder: string): Config {
  const { tls } = config.server;
  return {
    ...config,
    dataDir: resolve(folder, config.dataDir),
    server: tls
      ? {
          ...config.server,
          tls: { certFile: resolve(folder, tls.certFile), keyFile: resolve(folder, tls.keyFile) },
        }
      : config.server,
    endpoints: config.endpoints.map((endpoint) => withAbsoluteFiles(endpoint, folder)),
    notices: withAbsoluteSecrets(config.notices, folder),
    forward: withAbsoluteReceivers(config.forward, folder),
  };
}

function withAbsoluteFiles(endpoint: Endpoint, folder: string): Endpoint {
  const alternatives = endpoint.alternatives.map((one) =>
    one.at ? { ...one, at: withAbsolute(one.at, folder) } : one,
  );
  return { ...withAbsolute(endpoint, folder), alternatives };
}

function withAbsolute<T extends Pick<Endpoint, 'credential' | 'tls'>>(one: T, folder: string): T {
  const { credential, tls } = one;
  const found = { ...one };
  if (credential !== undefined) found.credential = absoluteReference(credential, folder);
  if (tls) found.tls = absoluteFiles(tls, folder);
  return found;
}

function withAbsoluteSecrets(notices: NoticeChannels, folder: string): NoticeChannels {
  const { webhooks, email } = notices;
  const found = {
    ...notices,
    webhooks: webhooks.map((webhook) => ({
      ...webhook,
      secret: absoluteReference(webhook.secret, folder),
    })),
  };
  const password = email?.smtp.password;
  if (email && password !== undefined)
    found.email = {
      ...email,
      smtp: { ...email.smtp, password: absoluteReference(password, folder) },
    };
  return found;
}

function withAbsoluteReceivers(forward: Forwarding, folder: string): Forwarding {
  const { syslog, webhooks, files } = forward;
  return {
    ...forward,
    syslog: syslog.map((one) => ({ ...one, tls: absoluteFiles(one.tls, folder) })),
    webhooks: webhooks.map((one) => ({
      ...one,
      secret: absoluteReference(one.secret, folder),
      ...(one.tls && { tls: absoluteFiles(one.tls, folder) }),
    })),
    files: files.map((one) => ({ ...one, path: resolve(folder, one.path) })),
  };
}

const absoluteFiles = (files: Record<string, string | undefined>, folder: string): object =>
  Object.fromEntries(
    Object.entries(files).map(([name, path]) => [name, path && resolve(folder, path)]),
  );

/** A reference to a secret; that of a file is taken from the folder of the configuration. */
function absoluteReference(reference: string, folder: string): string {
  return reference.startsWith('file:')
    ? `file:${resolve(folder, reference.slice('file:'.length))}`
    : reference;
}
