import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { afterAll, describe, expect, it } from 'vitest';
import { saveProfile } from '../../src/cli/profiles.ts';
import { grantSpecSchema } from '../../src/core/grants.ts';
import { createKeyFile } from '../../src/lib/key-file.ts';
import { startFakeBroker } from './fake-broker.ts';
import { SENTENCE, newCli } from './run-cli.ts';
import { LAB, PERSON, sampleSpec } from './sample-grant.ts';

const cli = newCli();
afterAll(() => cli.remove());

function fileOf(content: unknown): string {
  const path = join(cli.folder, 'grant.yaml');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

describe('a grant file', () => {
  const spec = sampleSpec();
  it.each<[string, unknown, string]>([
    ['an unknown field', { ...spec, budget: 1 }, 'budget is not a field of a grant'],
    [
      'an unknown field further in',
      { ...spec, limits: { perMinute: 1 } },
      'limits.perMinute is not a field of a grant',
    ],
    ['a missing field', { ...spec, lab: undefined }, 'lab is missing'],
    ['a lab that is not filled in', { ...spec, lab: 'lab_FILL_IN' }, 'lab must be the id of a lab'],
    [
      'a number that is a text',
      { ...spec, limits: { concurrent: '4' } },
      'limits.concurrent expected number, received string',
    ],
    [
      'an unknown purpose',
      { ...spec, purposes: { allowed: ['fun'] } },
      'purposes.allowed.0 expected one of',
    ],
    [
      'a window that ends before it begins',
      { ...spec, window: { from: spec.window.until, until: spec.window.from } },
      'window.until must be later than window.from',
    ],
    [
      'two wrong fields',
      { ...spec, title: '', tokenLifetimeSeconds: 1 },
      'title too small: expected string to have >=1 characters; tokenLifetimeSeconds too small',
    ],
    ['a list', [spec], 'the file expected object, received array'],
    ['nothing', '', 'the file expected object, received null'],
    ['broken YAML', 'title: [', 'is not valid YAML'],
    ['a key given twice', 'title: a\ntitle: b', 'is not valid YAML: Map keys must be unique'],
    [
      'an explosion of aliases',
      `a: &a [1,1,1,1,1,1,1,1,1]\n${['b', 'c', 'd', 'e', 'f']
        .map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcde'[i]}`).join(',')}]`)
        .join('\n')}`,
      'is not valid YAML',
    ],
  ])('with %s is refused by name before anything is sent', async (_what, content, expected) => {
    const { code, out, err } = await cli.run('grant', 'apply', '--file', fileOf(content));
    expect(err).toContain(expected);
    expect(err).toMatch(SENTENCE);
    expect(out).toBe('');
    expect(code).toBe(2);
  });

  it('that is right gets as far as the connection', async () => {
    const { code, err } = await cli.run('grant', 'apply', '--file', fileOf(spec));
    expect(err).toContain('sallyport login');
    expect(code).toBe(2);
  });

  it('that is not there is said to be so', async () => {
    const { err } = await cli.run('grant', 'apply', `grt_${'0'.repeat(26)}`, '--file', '/no/grant');
    expect(err).toContain('Cannot read the grant /no/grant: there is no such file or folder.');
  });
});

describe('grant template', () => {
  it('filled in, is a grant', async () => {
    const args = ['--lab', LAB, '--endpoint', 'chat', '--model', 'a/b:c', '--model', 'd'];
    const { code, out } = await cli.run('grant', 'template', ...args, '--researcher', PERSON);
    expect(code).toBe(0);
    const spec = grantSpecSchema.parse(parse(out));
    expect(spec).toMatchObject({
      lab: LAB,
      endpoints: [{ endpoint: 'chat', models: ['a/b:c', 'd'] }],
      people: [{ person: PERSON }],
    });
    expect(Date.parse(spec.window.until)).toBeGreaterThan(Date.now());
  });

  it('names every field there is, so that none is forgotten', async () => {
    const { out } = await cli.run('grant', 'template');
    const full = grantSpecSchema.parse(sampleSpec());
    const given = parse(out) as Record<string, object>;
    expect(Object.keys(given).sort()).toEqual(Object.keys(full).sort());
    expect(Object.keys(given['features'] ?? {})).toEqual(Object.keys(full.features));
    expect(Object.keys(given['budgets'] ?? {})).toEqual(Object.keys(full.budgets));
  });

  it('not filled in, says which fields are to be filled in', async () => {
    const { out } = await cli.run('grant', 'template');
    const { err } = await cli.run('grant', 'apply', '--file', fileOf(out));
    for (const field of ['lab', 'endpoints.0.endpoint', 'endpoints.0.models.0', 'people.0.person'])
      expect(err).toContain(`${field} must be`);
  });

  it('asks for no more than the endpoint offers, where the broker tells', async () => {
    const broker = await startFakeBroker();
    const logged = newCli();
    const key = join(logged.folder, 'key.pem');
    createKeyFile(key);
    saveProfile(logged.env, 'p', { url: broker.url, issuer: broker.url, person: PERSON, key });
    broker.on('/api/v1/endpoints/small', {
      id: 'small',
      description: '',
      dialects: ['anthropic'],
      models: ['m'],
      safeguardsLifted: [],
      features: { streaming: true, systemPrompt: false, maxOutputTokens: 512 },
    });
    const asked = await logged.run('grant', 'template', '--endpoint', 'small');
    expect(asked.err).toBe('');
    expect(parse(asked.out)).toMatchObject({
      operations: ['messages', 'models'],
      features: { streaming: true, systemPrompt: false, tools: false, maxOutputTokens: 512 },
    });
    const unknown = await logged.run('grant', 'template', '--endpoint', 'other');
    expect(unknown.code).toBe(0);
    expect(unknown.err).toContain('What the endpoint "other" offers could not be asked');
    expect(parse(unknown.out)).toMatchObject({ features: { maxOutputTokens: 4096 } });
    logged.remove();
    await broker.close();
  });

  it('is JSON for programs', async () => {
    expect(await cli.json('grant', 'template', '--lab', LAB)).toMatchObject({ lab: LAB });
  });
});
