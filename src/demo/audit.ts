/**
 * `sallyport demo audit`: what can be proven without trusting anyone. A call that the host cannot read, receipts, a statement, two
 * labs that watch each other's logs, evidence, and what comes of changing it. Every check is a command that its user would run.
 */
import OpenAI from 'openai';
import { createPrivateKey } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ed25519Signer } from '../core/audit/note-keys.ts';
import { formatAddCheckpoint } from '../core/audit/add-checkpoint.ts';
import { openCheckpoint } from '../core/audit/checkpoint.ts';
import { demoGrant } from './grant.ts';
import { DEMO_MODEL } from './model-reply.ts';
import { must, type Narrator } from './narrator.ts';
import { historyOf, linesOf, pack, rewritten, unpack, withLines } from './tampering.ts';
import { tell, type Stage } from './tell.ts';
import { openTerminal, succeeds, terminalOf, type Ended, type Terminal } from './terminal.ts';
import { twoThatWatch, type Site } from './watching.ts';
import { makeActiveGrant, type DemoPerson, type DemoWorld } from './world.ts';

/** What is in none of the host's files. */
const SECRET = 'the lighthouse keeper of Skerryvore';

const QUESTIONS = [
  `Who was ${SECRET}?`,
  'Which of these did you make up?',
  'Are you certain of that?',
];

/** Exit codes of `audit verify`, `audit receipt`, `audit open` and `audit statement --receipts`. */
const SOUND = 0;
const TAMPERED = 1;
const INCOMPLETE = 2;
const COULD_NOT_RUN = 3;

/** A witness is asked every fifth of a second. */
const MOST_WAITED_MS = 20_000;

/** What `audit verify --json` says. */
interface VerifyReport {
  status?: string;
  firstBadIndex?: number;
  problem?: string;
}

interface Scene {
  world: DemoWorld;
  narrator: Narrator;
  /** The host's broker, and the partner's. */
  sites: [Site, Site];
  /** For files of the people in the story. */
  desk: string;
  /** Of somebody who has no login anywhere: what they check, they check with files and keys alone. */
  stranger: Terminal;
  as(person: DemoPerson): Promise<Terminal>;
}

/** Tells the story. @returns 0, or 1 as soon as a step is not as it should be */
export async function tellAudit(out: (text: string) => void): Promise<number> {
  let sites: [Site, Site] | undefined;
  return tell(
    out,
    async (stage) => {
      if (!sites) throw new Error('There are no sites.');
      const scene = sceneOf(stage, sites);
      const request = await callInSecret(scene);
      const transcript = await openWhatIsSealed(scene, request);
      await keepReceipts(scene);
      await countCalls(scene);
      const evidence = await watchEachOther(scene, stage);
      await tamper(scene, evidence, transcript);
    },
    async (folder) => {
      sites = await twoThatWatch(folder);
      return sites[0];
    },
  );
}

function sceneOf({ world, narrator, folder }: Stage, sites: [Site, Site]): Scene {
  const desk = join(folder, 'desk');
  mkdirSync(desk, { mode: 0o700 });
  const home = (name: string): string => join(folder, 'homes', name);
  return {
    world,
    narrator,
    sites,
    desk,
    stranger: openTerminal(home('stranger')),
    as: (person) => terminalOf(world, person, home(person.part)),
  };
}

/** Calls under a grant whose transcripts are sealed. @returns the request that asked for the secret */
async function callInSecret(scene: Scene): Promise<string> {
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

/** @returns the file of the call, the key that opens it, and the entries that commit to it */
async function openWhatIsSealed(
  scene: Scene,
  request: string,
): Promise<{ file: string; options: string[] }> {
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

async function keepReceipts(scene: Scene): Promise<void> {
  const { world, narrator, sites, desk, stranger } = scene;
  const { researcher } = world.people;
  narrator.chapter('The researcher has a receipt of each call');
  const terminal = await scene.as(researcher);
  const folder = join(desk, 'receipts');
  await succeeds(terminal('audit', 'receipts', ...sinceYesterday(), '--dir', folder));
  const kept = readdirSync(folder);
  must(kept.length === QUESTIONS.length, `there are receipts ${kept.join(', ')}`);
  const key = ['--key', sites[0].logKey];
  await succeeds(stranger('audit', 'receipt', folder, ...key));
  narrator.proved(
    `${researcher.name} keeps ${kept.length} receipts; each is checked offline: sound`,
    'a receipt needs no broker, only the key of the log',
  );
  const changed = join(desk, 'changed.receipt');
  const receipt = readFileSync(join(folder, kept[0] ?? ''), 'utf8');
  writeFileSync(changed, receipt.replace('"upstreamStatus":200', '"upstreamStatus":500'));
  const found = await stranger('audit', 'receipt', changed, ...key);
  must(found.code === TAMPERED, `a changed receipt ends with ${said(found)}`);
  narrator.proved(
    'One of them says that the model answered 500: tampered',
    'it is exactly what the log holds, or no receipt',
  );
}

async function countCalls(scene: Scene): Promise<void> {
  const { world, narrator, sites, desk } = scene;
  const { lead } = world.people;
  narrator.chapter(
    'The partner lab checks that its calls are on record, all of them and no others',
  );
  const terminal = await scene.as(lead);
  const folder = join(desk, 'receipts');
  const statement = (): Promise<Ended> =>
    terminal(
      'audit',
      'statement',
      ...sinceYesterday(),
      '--receipts',
      folder,
      '--log-key',
      sites[0].logKey,
    );
  const whole = await statement();
  must(whole.code === SOUND, `the statement ends with ${said(whole)}`);
  narrator.proved(
    `${lead.name} holds the log's statement against the receipts: ${lastLine(whole)}`,
    'the host has left out no call, and has added none in their name',
  );
  const [lost] = readdirSync(folder);
  const path = join(folder, lost ?? '');
  const receipt = readFileSync(path);
  rmSync(path);
  const lacking = await statement();
  const named = (lost ?? '').replace('.receipt', '');
  must(
    lacking.code === INCOMPLETE && lacking.out.includes(named),
    `without a receipt it ends with ${said(lacking)}`,
  );
  writeFileSync(path, receipt);
  narrator.proved(
    `Without one of the receipts: incomplete, and it names ${named}`,
    'a call in their name that none of them made would stand out like this',
  );
}

/** @returns the path of the evidence */
async function watchEachOther(scene: Scene, stage: Stage): Promise<string> {
  const { world, narrator, sites, desk, stranger } = scene;
  const [host, partner] = sites;
  narrator.chapter('Two labs watch each other');
  const theirs = await stage.another(partner);
  const sizes = await Promise.all([witnessedSize(world, host), witnessedSize(theirs, partner)]);
  narrator.proved(
    `The partner's broker has cosigned ${sizes[0]} entries of the host's log, the host's ${sizes[1]} of the partner's`,
    'each has seen that the log of the other only grows',
  );

  const evidence = join(desk, 'evidence.tar');
  const auditor = await scene.as(world.people.auditor);
  await succeeds(auditor('audit', 'export', '--witnessed', '--out', evidence));
  const keys = ['--key', host.logKey, '--witness', partner.witnessKey];
  const verified = await stranger('audit', 'verify', evidence, ...keys);
  must(verified.code === SOUND, `the evidence verifies with ${said(verified)}`);
  narrator.proved(
    `${world.people.auditor.name} (auditor) exports the log as evidence; somebody without a login verifies it: sound, witnessed`,
    'it stands by itself, with the keys of the log and of its witness',
  );
  await showTwoHistories(scene, theirs, evidence);
  return evidence;
}

/** Waits until the newest entry is in a checkpoint that the other broker has cosigned. */
async function witnessedSize({ server }: DemoWorld, { logKey }: Site): Promise<number> {
  const { size: wanted } = await server.broker.store.write('publishCheckpoint', {
    at: server.broker.clock(),
  });
  for (const until = Date.now() + MOST_WAITED_MS; Date.now() < until; await delay(50)) {
    const answer = await fetch(`${server.url}/api/v1/log/checkpoint/witnessed`);
    if (!answer.ok) continue;
    const { size } = openCheckpoint(await answer.text(), logKey);
    if (size >= wanted) return size;
  }
  throw new Error(`No checkpoint of ${server.url} was witnessed in time.`);
}

/** Answers of the witness that name a larger size: the honest log goes on meanwhile. */
const MOST_TRIES = 20;

/** The host itself signs another history, without the first call. Its own key makes that valid, and the witness does not. */
async function showTwoHistories(scene: Scene, theirs: DemoWorld, evidence: string): Promise<void> {
  const { narrator, sites, desk, stranger } = scene;
  const [{ dataDir, origin, logKey }] = sites;
  const lines = linesOf(await unpack(evidence));
  const at = lines.findIndex((line) => line.includes('"kind":"request.intent"'));
  const other = [...lines.slice(0, at), ...lines.slice(at + 1), lines[at] ?? ''];
  const signer = ed25519Signer(
    origin,
    createPrivateKey(readFileSync(join(dataDir, 'keys', 'log.pem'))),
  );
  /** @returns the size that the witness says it knows */
  const show = async (size: number): Promise<number> => {
    const invented = Array.from({ length: size - other.length }, (_, i) => `{"invented":${i}}`);
    const { checkpoint } = historyOf(origin, [...other, ...invented], signer);
    const asked = await fetch(`${theirs.server.url}/witness/add-checkpoint`, {
      method: 'POST',
      body: formatAddCheckpoint({ old: size, proof: [], note: checkpoint }),
    });
    must(asked.status === 409, `the witness answers ${asked.status}`);
    return Number(await asked.text());
  };
  let size = other.length;
  for (let tries = 1, known; (known = await show(size)) !== size; size = known, tries += 1)
    must(
      known > size && tries < MOST_TRIES,
      `the witness knows ${known} entries, asked for ${size}`,
    );

  const auditor = await terminalOf(theirs, theirs.people.auditor, join(desk, 'their-auditor'));
  const proofs = join(desk, 'proofs');
  const listed = JSON.parse(
    await succeeds(auditor('audit', 'split-views', '--save', proofs, '--json')),
  ) as { items: { id: string; origin: string; kind: string; source: string }[] };
  const [kept] = listed.items;
  must(
    kept?.origin === origin && kept.kind === 'proven' && kept.source === 'witness',
    `the witness has kept ${JSON.stringify(listed.items)}`,
  );
  const proof = join(proofs, `${kept?.id ?? ''}.json`);
  const compared = await stranger('audit', 'compare', proof, '--key', logKey, '--json');
  must(
    compared.code === TAMPERED && isSplitAt(compared, size),
    `comparing ends with ${said(compared)}`,
  );
  narrator.proved(
    `The host signs a second history of ${size} entries with its own key: the witness refuses it, and keeps both as proof, which its auditor hands on`,
    'not even who has the key of the log can show two people two logs',
  );
}

function isSplitAt({ out }: Ended, size: number): boolean {
  const { verdict, sizes } = JSON.parse(out) as { verdict: string; sizes: number[] };
  return verdict === 'split' && sizes.every((one) => one === size);
}

async function tamper(
  scene: Scene,
  evidence: string,
  transcript: { file: string; options: string[] },
): Promise<void> {
  const { narrator, sites, desk, stranger } = scene;
  const [{ origin, logKey }] = sites;
  narrator.chapter('Five ways to change what is on record');
  const files = await unpack(evidence);
  const lines = linesOf(files);
  const at = lines.findIndex((line) => line.includes('"kind":"request.outcome"'));
  const path = join(desk, 'changed.tar');
  /** Fails unless that is what `audit verify` finds, and where. */
  const finds = async (bundle: Buffer, code: number, status: string, where?: number) => {
    writeFileSync(path, bundle);
    const ended = await stranger('audit', 'verify', path, '--key', logKey, '--json');
    const report = ended.out === '' ? {} : (JSON.parse(ended.out) as VerifyReport);
    must(
      ended.code === code && report.status === status && report.firstBadIndex === where,
      `it ends with ${said(ended)}`,
    );
    return report;
  };

  const edited = lines.with(
    at,
    (lines[at] ?? '').replace('"upstreamStatus":200', '"upstreamStatus":500'),
  );
  await finds(await pack(withLines(files, edited)), TAMPERED, 'tampered', at);
  narrator.proved(
    `Entry ${at} says that the model answered 500: tampered, at entry ${at}`,
    'an entry is its bytes',
  );

  const removed = lines.toSpliced(at, 1);
  await finds(await pack(withLines(files, removed)), TAMPERED, 'tampered', at);
  narrator.proved(
    `Entry ${at} is taken out, and the others move up: tampered, at entry ${at}`,
    'every entry has its place',
  );

  const cut = lines.slice(0, -3);
  await finds(await pack(withLines(files, cut)), INCOMPLETE, 'incomplete', cut.length);
  narrator.proved(
    `The last three entries are cut off: incomplete, from entry ${cut.length} on`,
    'the checkpoint says how many there are; what is missing is told from what was changed',
  );

  const { problem = '' } = await finds(await rewritten(origin, removed), TAMPERED, 'tampered');
  must(problem.includes('not the key you gave'), `it says ${problem}`);
  narrator.proved(
    'The whole log is written anew, and signed by another key: tampered, for that key was never this log’s',
    'a bundle that agrees with itself proves nothing',
  );

  const sealed = readFileSync(transcript.file);
  const last = sealed.length - 1;
  sealed[last] = (sealed[last] ?? 0) ^ 1;
  const flipped = join(desk, 'flipped.age');
  writeFileSync(flipped, sealed);
  const opened = await stranger('audit', 'open', flipped, ...transcript.options);
  must(opened.code === TAMPERED, `it opens with ${said(opened)}`);
  narrator.proved(
    'One bit of the sealed transcript is flipped: changed',
    'the log has the digest of the file, and a commitment to each body in it',
  );
}

/** A story that is told at midnight is of two days. */
const sinceYesterday = (): string[] => [
  '--since',
  new Date(Date.now() - 86_400_000).toISOString().slice(0, 10),
];

const said = ({ code, out, err }: Ended): string => `${code}: ${`${err}${out}`.trim()}`;

const lastLine = ({ out }: Ended): string => out.trimEnd().split('\n').at(-1) ?? '';
