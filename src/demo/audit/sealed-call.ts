/** A call under a grant whose transcripts are sealed, and how they are opened. */
import OpenAI from 'openai';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { demoGrant } from '../grant.ts';
import { DEMO_MODEL } from '../model-reply.ts';
import { must } from '../narrator.ts';
import { makeActiveGrant } from '../world.ts';
import { COULD_NOT_RUN, QUESTIONS, SECRET, SOUND, said, type Scene } from './scene.ts';
import { succeeds } from './terminal.ts';

/** The file of a call, and what opens it: the key, and the entries that commit to it. */
export interface SealedFile {
  file: string;
  options: string[];
}

/** Calls under a grant whose transcripts are sealed. @returns the request that asked for the secret */
export async function callInSecret(scene: Scene): Promise<string> {
  const { world, narrator, sites, desk } = scene;
  const { lead, researcher } = world.people;
  narrator.chapter('A call whose words the host cannot read');
  const keeper = await scene.as(lead);
  const recipient = (
    await succeeds(keeper('audit', 'new-identity', join(desk, 'lead.key')))
  ).trim();
  const grant = await makeActiveGrant(world, {
    ...demoGrant({
      lab: world.labs.partner,
      people: [researcher.id],
      models: [DEMO_MODEL],
      operations: ['chat.completions', 'models'],
      now: Date.now(),
    }),
    transcripts: 'sealed',
    transcriptRecipients: [{ recipient, holder: `${lead.name}, partner lab` }],
    transcriptRetentionDays: 30,
  });
  narrator.proved(
    `${lead.name} (lead, partner lab) makes a key, and the grant ${grant} names its recipient`,
    'what is kept of calls is sealed to it, and nobody at the host has the key',
  );
  const { access_token: apiKey } = await researcher.client.requestToken({
    type: 'model_access',
    grant,
    purpose: 'hallucination',
    run: 'survey',
  });
  const openai = new OpenAI({ baseURL: `${world.server.url}/v1`, apiKey, maxRetries: 0 });
  const requests: string[] = [];
  for (const content of QUESTIONS) {
    const { response } = await openai.chat.completions
      .create({ model: DEMO_MODEL, messages: [{ role: 'user', content }] })
      .withResponse();
    requests.push(response.headers.get('x-request-id') ?? '');
  }
  const [first] = requests;
  must(first?.startsWith('req_') === true, `the answer names its request as "${first}"`);
  const leaking = filesWith(sites[0].dataDir, SECRET);
  must(leaking.length === 0, `the words are in ${leaking.join(', ')}`);
  narrator.proved(
    `${researcher.name} (researcher) asks ${QUESTIONS.length} questions; the words of the first are in no file of the host's broker`,
    'the host can prove that there was a call, and cannot tell what was said',
  );
  return first ?? '';
}

/** Files below a folder in which a text is. */
function filesWith(folder: string, text: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile() && readFileSync(path).includes(text));
}

/** The partner fetches what is kept of a call, and opens it. */
export async function openWhatIsSealed(scene: Scene, request: string): Promise<SealedFile> {
  const { world, narrator, desk, stranger } = scene;
  const folder = join(desk, 'transcript');
  const lead = await scene.as(world.people.lead);
  await succeeds(lead('audit', 'transcript', request, '--out', folder));
  const file = join(folder, `${request}.request.age`);
  const entries = ['--entry', join(folder, `${request}.entries.json`), '--request', request];
  must(readFileSync(file).includes('age-encryption.org/v1'), 'it is no age file');

  const other = join(desk, 'other.key');
  await succeeds(stranger('audit', 'new-identity', other));
  const closed = await stranger('audit', 'open', file, '--identity', other, ...entries);
  must(closed.code === COULD_NOT_RUN, `another key opens it with ${said(closed)}`);
  const options = ['--identity', join(desk, 'lead.key'), ...entries];
  const opened = await stranger('audit', 'open', file, ...options);
  must(opened.code === SOUND && opened.out.includes(SECRET), `it opens with ${said(opened)}`);
  narrator.proved(
    `${world.people.lead.name} fetches the sealed file and opens it offline; no other key does`,
    'the words are those that the log commits to, and fetching them is on record',
  );
  return { file, options };
}
