/** From an empty directory to verified evidence, with nothing but the command line, as users do it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { cleanUp, newDirectory, runCommand, startServe } from '../support/broker-process.ts';
import { startScriptedUpstream } from '../support/scripted-upstream.ts';

afterEach(cleanUp);

test('two partner labs, one grant each, an order, and evidence', { timeout: 90_000 }, async () => {
  const upstream = await startScriptedUpstream();
  const home = newDirectory();
  const at = (name: string): string => join(home, name);
  const env = { SALLYPORT_HOME: at('profiles'), FRONTIER_API_KEY: 'sk-frontier-1' };
  const attempt = (...args: string[]) => runCommand(args, { cwd: home, env });
  const say = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await attempt(...args);
    expect({ args, code, stderr: code === 0 ? '' : stderr }).toEqual({ args, code: 0, stderr: '' });
    return stdout;
  };
  const ask = async (...args: string[]): Promise<Record<string, unknown> & { id: string }> =>
    JSON.parse(await say(...args, '--json')) as { id: string };

  // The host lab sets up.
  const made = JSON.parse(
    await say('init', '--dir', 'broker', '--lab', 'Northwall', '--admin', 'Ada', '--json'),
  ) as { config: string; admin: string; key: string; log: { verifierKey: string } };
  const again = await attempt('init', '--dir', 'broker', '--lab', 'Northwall', '--admin', 'Ada');
  expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('exists already') });
  const config = parse(readFileSync(made.config, 'utf8')) as { server: object };
  writeFileSync(
    made.config,
    stringify({
      ...config,
      server: { ...config.server, port: 0 },
      endpoints: [
        {
          id: 'frontier',
          description: 'Research endpoint',
          dialects: ['openai'],
          upstream: `${upstream.url}/v1`,
          credential: 'env:FRONTIER_API_KEY',
          models: ['frontier-1'],
          safeguardsLifted: [{ safeguard: 'output-classifier', reason: 'R', owner: 'O' }],
          features: { streaming: true, systemPrompt: true, maxOutputTokens: 8192 },
          prices: { inputUsdPerMillion: 3, outputUsdPerMillion: 15 },
        },
      ],
    }),
  );
  const { process, url } = await startServe(made.config, { cwd: home, env });

  const login = (name: string, person: string, key: string): Promise<string> =>
    say('login', '--url', url, '--person', person, '--key', key, '--profile', name);
  await login('admin', made.admin, made.key);

  const enrol = async (name: string, lab: string, role: string): Promise<string> => {
    await say('person', 'keygen', '--out', `${name}.pem`);
    const { id } = await ask(
      'person',
      'add',
      '--profile',
      'admin',
      '--lab',
      lab,
      '--name',
      name,
      '--role',
      role,
      '--public-key',
      `${name}.pem.pub.json`,
    );
    await login(name, id, `${name}.pem`);
    return id;
  };
  const labs = JSON.parse(await say('lab', 'list', '--profile', 'admin', '--json')) as {
    items: { id: string; kind: string }[];
  };
  const host = labs.items.find(({ kind }) => kind === 'host')?.id ?? '';
  await enrol('safety', host, 'safety');
  await enrol('deputy', host, 'safety');
  await enrol('auditor', host, 'auditor');

  const labOf = async (name: string): Promise<string> =>
    (await ask('lab', 'add', '--profile', 'admin', '--name', name, '--kind', 'partner')).id;
  await labOf('First Partner');
  const partner = await labOf('Second Partner');
  await enrol('lead', partner, 'lead');
  const researcher = await enrol('researcher', partner, 'researcher');

  // The partner asks, two people of the host agree, the partner accepts.
  writeFileSync(
    at('grant.yaml'),
    await say(
      'grant',
      'template',
      '--lab',
      partner,
      '--endpoint',
      'frontier',
      '--model',
      'frontier-1',
      '--researcher',
      researcher,
    ),
  );
  const { id: grant } = await ask(
    'grant',
    'apply',
    '--profile',
    'lead',
    '--file',
    'grant.yaml',
    '--yes',
  );
  await say('grant', 'submit', grant, '--profile', 'lead');
  const own = await attempt('grant', 'approve', grant, '--profile', 'lead');
  expect(own).toMatchObject({ code: 1, stderr: expect.stringContaining('role_required') });
  await say('grant', 'approve', grant, '--profile', 'admin');
  await say('grant', 'approve', grant, '--profile', 'safety');
  await say('grant', 'accept', grant, '--yes', '--profile', 'lead');
  await say('grant', 'accept', grant, '--yes', '--profile', 'researcher');
  expect(await ask('grant', 'show', grant, '--profile', 'lead')).toMatchObject({
    status: 'active',
  });

  // The researcher works.
  const token = (
    await say(
      'token',
      'create',
      '--profile',
      'researcher',
      '--grant',
      grant,
      '--purpose',
      'jailbreak_robustness',
      '--run',
      'pilot',
    )
  ).trim();
  const call = async (): Promise<{ status: number; code: string | undefined }> => {
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'frontier-1', messages: [{ role: 'user', content: 'Hi' }] }),
    });
    const { error } = (await answer.json()) as { error?: { code: string } };
    return { status: answer.status, code: error?.code };
  };
  expect(await call()).toEqual({ status: 200, code: undefined });
  expect(upstream.requests[0]?.headers.authorization).toBe('Bearer sk-frontier-1');

  // The safety officer stops it, a second one lets it go on.
  const order = await ask(
    'order',
    'suspend',
    '--profile',
    'safety',
    '--grant',
    grant,
    '--grounds',
    'To be sure',
  );
  expect(await call()).toEqual({ status: 403, code: 'grant_suspended' });
  const lift = ['order', 'lift', order.id, '--grounds', 'Sure'];
  expect(await attempt(...lift, '--profile', 'safety')).toMatchObject({ code: 1 });
  await say(...lift, '--profile', 'deputy');
  expect(await call()).toEqual({ status: 200, code: undefined });
  expect(await say('grant', 'usage', grant, '--profile', 'lead')).toContain('2');

  // The auditor proves it, with the key that init printed.
  await say('audit', 'export', '--profile', 'auditor', '--out', 'evidence.tar');
  writeFileSync(at('log.vkey'), await say('audit', 'key', '--profile', 'auditor'));
  expect(readFileSync(at('log.vkey'), 'utf8').trim()).toBe(made.log.verifierKey);
  const verify = ['audit', 'verify', 'evidence.tar', '--key'];
  expect(await say(...verify, '@log.vkey')).toContain('SOUND');
  const bytes = readFileSync(at('evidence.tar'));
  bytes[bytes.indexOf('grant_suspended')] = 'G'.charCodeAt(0);
  writeFileSync(at('evidence.tar'), bytes);
  expect(await attempt(...verify, made.log.verifierKey)).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('TAMPERED'),
  });

  expect(await process.end('SIGTERM')).toEqual({ code: 0, signal: null });
  for (const secret of [token, 'sk-frontier-1']) expect(process.stderr).not.toContain(secret);
  await upstream.close();
});
