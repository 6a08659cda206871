/** Two brokers that are witnesses of each other, evidence that was witnessed, and a host that tries to show two histories. */
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { formatAddCheckpoint } from '../../core/audit/add-checkpoint.ts';
import { openCheckpoint } from '../../core/audit/checkpoint.ts';
import { ed25519Signer } from '../../core/audit/note-keys.ts';
import { must } from '../narrator.ts';
import type { Stage } from '../tell.ts';
import type { DemoWorld } from '../world.ts';
import { historyOf, linesOf, unpack } from './evidence-files.ts';
import { SOUND, TAMPERED, said, type Scene } from './scene.ts';
import type { Site } from './sites.ts';
import { succeeds, terminalOf, type Ended } from './terminal.ts';

/** A witness is asked every fifth of a second. */
const MOST_WAITED_MS = 20_000;

/** They watch each other, and the auditor exports. @returns the path of the evidence */
export async function watchEachOther(scene: Scene, stage: Stage): Promise<string> {
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
