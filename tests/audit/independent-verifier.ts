/**
 * A second verifier, written from docs/audit-format.md alone: it shares no line with the product, and imports nothing
 * of it. Slower and smaller; where the two disagree, one of them or the document is wrong.
 */
import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto';

export interface Found {
  status: 'sound' | 'tampered' | 'incomplete' | 'could_not_run';
  firstBadIndex: number | null;
}

type ReadFile = (path: string) => Buffer | undefined;

class Bad extends Error {
  readonly found: Found;

  constructor(status: Found['status'], index?: number) {
    super(status);
    this.found = { status, firstBadIndex: index ?? null };
  }
}

const tampered = (index?: number): Bad => new Bad('tampered', index);
const incomplete = (index?: number): Bad => new Bad('incomplete', index);

/** Runs a check; what it throws is what was found. */
export function judge(check: () => void): Found {
  try {
    check();
    return { status: 'sound', firstBadIndex: null };
  } catch (error) {
    if (error instanceof Bad) return error.found;
    throw error;
  }
}

// Hashes

const sha256 = (...parts: Buffer[]): Buffer =>
  createHash('sha256').update(Buffer.concat(parts)).digest();
const leafHash = (data: Buffer): Buffer => sha256(Buffer.of(0), data);
const nodeHash = (left: Buffer, right: Buffer): Buffer => sha256(Buffer.of(1), left, right);

function splitOf(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** MTH of RFC 6962, as it is written there. */
function treeHash(leaves: readonly Buffer[]): Buffer {
  const [only] = leaves;
  if (only === undefined) return sha256();
  if (leaves.length === 1) return only;
  const k = splitOf(leaves.length);
  return nodeHash(treeHash(leaves.slice(0, k)), treeHash(leaves.slice(k)));
}

/** The root that an inclusion proof leads to; undefined where it has the wrong number of hashes. */
function rootByInclusion(
  index: number,
  size: number,
  leaf: Buffer,
  proof: readonly Buffer[],
): Buffer | undefined {
  const last = proof.at(-1);
  if (size === 1) return proof.length === 0 ? leaf : undefined;
  if (last === undefined) return undefined;
  const k = splitOf(size);
  const rest = proof.slice(0, -1);
  const inner =
    index < k
      ? rootByInclusion(index, k, leaf, rest)
      : rootByInclusion(index - k, size - k, leaf, rest);
  if (inner === undefined) return undefined;
  return index < k ? nodeHash(inner, last) : nodeHash(last, inner);
}

/** Old and new root by a consistency proof; `known` says that the old tree is a whole subtree, so its hash is known. */
function rootsByConsistency(
  m: number,
  n: number,
  proof: readonly Buffer[],
  oldRoot: Buffer,
  known = true,
): [Buffer, Buffer] | undefined {
  const last = proof.at(-1);
  if (m === n) {
    if (known) return proof.length === 0 ? [oldRoot, oldRoot] : undefined;
    return last !== undefined && proof.length === 1 ? [last, last] : undefined;
  }
  if (last === undefined) return undefined;
  const k = splitOf(n);
  const rest = proof.slice(0, -1);
  if (m <= k) {
    const inner = rootsByConsistency(m, k, rest, oldRoot, known);
    return inner && [inner[0], nodeHash(inner[1], last)];
  }
  const inner = rootsByConsistency(m - k, n - k, rest, oldRoot, false);
  return inner && [nodeHash(last, inner[0]), nodeHash(last, inner[1])];
}

// Notes and checkpoints

interface Key {
  name: string;
  id: Buffer;
  publicKey: Buffer;
  text: string;
  /** It counts for sizes above the first and up to the second. */
  range?: [number, number];
  /** Of the step by which it was followed, in base64. */
  lastRoot?: string;
}

function strictBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

export function readKeys(texts: readonly string[]): Key[] {
  return texts.map((text) => {
    const [name = '', hex = '', ...rest] = text.split('+');
    const bytes = strictBase64(rest.join('+'));
    if (bytes?.length !== 33 || bytes[0] !== 1) throw new Bad('could_not_run');
    const id = sha256(Buffer.from(`${name}\n`), bytes).subarray(0, 4);
    if (id.toString('hex') !== hex) throw new Bad('could_not_run');
    return { name, id, publicKey: bytes.subarray(1), text };
  });
}

function isSignature({ publicKey }: Key, text: string, signature: Buffer): boolean {
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') },
    format: 'jwk',
  });
  return verifySignature(null, Buffer.from(text), key, signature);
}

export interface Checkpoint {
  origin: string;
  size: number;
  root: Buffer;
}

export function openCheckpoint(note: Buffer, keys: readonly Key[]): Checkpoint {
  const whole = note.toString('utf8');
  if (!Buffer.from(whole).equals(note)) throw tampered();
  const isControl = note.some((byte) => byte < 0x20 && byte !== 0x0a);
  const split = whole.lastIndexOf('\n\n');
  if (isControl || split === -1 || !whole.endsWith('\n')) throw tampered();
  const text = whole.slice(0, split + 1);
  const signers: Key[] = [];
  for (const line of whole.slice(split + 2, -1).split('\n')) {
    const [dash, name = '', encoded = '', ...more] = line.split(' ');
    const bytes = strictBase64(encoded);
    if (dash !== '\u2014' || name === '' || !bytes || bytes.length < 5 || more.length > 0)
      throw tampered();
    const known = keys.filter((key) => key.name === name && key.id.equals(bytes.subarray(0, 4)));
    if (known.length === 0) continue;
    const by = known.filter((key) => isSignature(key, text, bytes.subarray(4)));
    if (by.length === 0) throw tampered();
    signers.push(...by);
  }
  const [origin = '', size = '', encoded = '', end, ...more] = text.split('\n');
  const root = strictBase64(encoded);
  const isSize = /^(?:0|[1-9][0-9]*)$/.test(size) && Number.isSafeInteger(Number(size));
  const counts = signers.some(
    ({ name, range: [after, upTo] = [-1, Infinity] }) =>
      name === origin && after < Number(size) && Number(size) <= upTo,
  );
  const isOther = signers.some(
    ({ range, lastRoot }) => range?.[1] === Number(size) && lastRoot !== encoded,
  );
  if (!counts || isOther || !isSize || root?.length !== 32 || end !== '' || more.length > 0)
    throw tampered();
  return { origin, size: Number(size), root };
}

// The history of a log's keys

/** The keys of a history, each with its sizes. */
function readHistory(document: string): Key[] {
  let value: { format?: unknown; first?: string; steps?: string[] };
  try {
    value = JSON.parse(document) as typeof value;
  } catch {
    throw tampered();
  }
  const { format, first = '', steps = [] } = value;
  if (format !== 'sallyport-log-keys/1') throw tampered();
  const keys = readKeys([first]);
  keys[0]!.range = [-1, Infinity];
  for (const note of steps) {
    const [head, old, next, time, origin = '', size = '', root = ''] = note.split('\n');
    const before = keys.at(-1)!;
    if (!next?.startsWith('new ') || !time?.startsWith('time ')) throw tampered();
    const [key] = readKeys([next.slice(4)]);
    if (head !== 'sallyport/log-key-step/v1' || old !== `old ${before.text}` || !key)
      throw tampered();
    const body = `${[head, old, next, time, origin, size, root].join('\n')}\n`;
    const split = note.lastIndexOf('\n\n');
    if (note.slice(0, split + 1) !== body || origin !== before.name || origin !== key.name)
      throw tampered();
    for (const one of [before, key]) {
      const lines = note.slice(split + 2, -1).split('\n');
      const isSigned = lines.some((line) => {
        const bytes = strictBase64(line.split(' ')[2] ?? '') ?? Buffer.alloc(0);
        return one.id.equals(bytes.subarray(0, 4)) && isSignature(one, body, bytes.subarray(4));
      });
      if (!isSigned) throw tampered();
    }
    const [after] = before.range!;
    if (Number(size) <= after || keys.some(({ text }) => text === key.text)) throw tampered();
    before.range = [after, Number(size)];
    before.lastRoot = root;
    keys.push({ ...key, range: [Number(size), Infinity] });
  }
  return keys;
}

/** The keys that count for the log that a checkpoint names. */
export function keysThatCount(
  note: Buffer,
  given: readonly Key[],
  ...documents: (string | undefined)[]
): Key[] {
  const [origin] = note.toString('utf8').split('\n', 1);
  const own = given.filter(({ name }) => name === origin);
  const histories = documents
    .filter((document) => document !== undefined)
    .map(readHistory)
    .toSorted((a, b) => b.length - a.length);
  const [longest] = histories;
  const isSignedByGiven = given.some(({ name, id }) =>
    note
      .toString('utf8')
      .split('\n')
      .some((line) => {
        const [dash, signer, encoded = ''] = line.split(' ');
        const bytes = Buffer.from(encoded, 'base64');
        return dash === '\u2014' && signer === name && id.equals(bytes.subarray(0, 4));
      }),
  );
  if (own.length === 0 && !isSignedByGiven) throw new Bad('could_not_run');
  if (longest === undefined) {
    if (own.length > 1) throw new Bad('could_not_run');
    return [...given];
  }
  for (const history of histories)
    for (const [at, { text, range, lastRoot }] of history.entries()) {
      const same = longest[at];
      if (text !== same?.text || range?.[0] !== same.range?.[0]) throw tampered();
      if (at < history.length - 1 && lastRoot !== same.lastRoot) throw tampered();
    }
  if (own.length === 0 || own.some(({ text }) => longest.every((key) => key.text !== text)))
    throw tampered();
  return longest;
}

// Entries

function checkOwnPlace(entry: Buffer, index: number, origin: string): void {
  let value: unknown;
  try {
    value = JSON.parse(entry.toString('utf8'));
  } catch {
    throw tampered(index);
  }
  const { log, index: own } = value as { log?: unknown; index?: unknown };
  if (log !== origin || own !== index) throw tampered(index);
}

/**
 * @param missing where entries end too soon: what is thrown for the first that is not there
 */
function checkEntries(
  entries: readonly Buffer[],
  leaves: readonly Buffer[],
  origin: string,
  from = 0,
): void {
  for (const [i, entry] of entries.entries()) {
    const index = from + i;
    const leaf = leaves[index];
    if (leaf === undefined || !leafHash(entry).equals(leaf)) throw tampered(index);
    checkOwnPlace(entry, index, origin);
  }
  if (from + entries.length < leaves.length) throw incomplete(from + entries.length);
}

/** As far as the last `log.pruned` among these entries says that the log was archived, from entry 0 on without a gap. */
function archivedUpTo(entries: readonly Buffer[]): number {
  interface Said {
    kind?: unknown;
    data?: { before?: number; archives?: { first: number; before: number }[] };
  }
  const said = entries
    .map((entry) => JSON.parse(entry.toString('utf8')) as Said)
    .findLast(({ kind }) => kind === 'log.pruned')?.data;
  let upTo = 0;
  for (const { first, before } of said?.archives ?? []) if (first === upTo) upTo = before;
  return Math.min(upTo, said?.before ?? 0);
}

// Receipts and consistency

export function checkReceipt(entry: Buffer, receipt: string, keys: readonly Key[]): void {
  const at = receipt.indexOf('\n\n');
  const [header, place = '', ...lines] = receipt.slice(0, at).split('\n');
  const index = /^index (0|[1-9][0-9]*)$/.exec(place)?.[1];
  const proof = lines.map(strictBase64);
  if (at === -1 || header !== 'c2sp.org/tlog-proof@v1' || index === undefined) throw tampered();
  if (proof.some((hash) => hash?.length !== 32)) throw tampered();
  const { origin, size, root } = openCheckpoint(Buffer.from(receipt.slice(at + 2)), keys);
  const i = Number(index);
  const reached =
    i < size ? rootByInclusion(i, size, leafHash(entry), proof as Buffer[]) : undefined;
  if (!reached?.equals(root)) throw tampered(i);
  checkOwnPlace(entry, i, origin);
}

export function checkConsistency(older: Checkpoint, newer: Checkpoint, proof: Buffer[]): void {
  if (older.origin !== newer.origin || older.size > newer.size) throw tampered();
  if (older.size === 0) {
    if (proof.length > 0 || !older.root.equals(sha256())) throw tampered();
    return;
  }
  const roots = rootsByConsistency(older.size, newer.size, proof, older.root);
  if (!roots?.[0].equals(older.root) || !roots[1].equals(newer.root)) throw tampered();
}

// Tiles

function numberPath(n: number): string {
  const groups = [String(n % 1000).padStart(3, '0')];
  for (let rest = Math.floor(n / 1000); rest > 0; rest = Math.floor(rest / 1000))
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`);
  return groups.join('/');
}

/** The files of one level: path without `.p/<width>`, number and width. */
function tilesOf(level: string, hashes: number): { path: string; n: number; width: number }[] {
  return Array.from({ length: Math.ceil(hashes / 256) }, (_, n) => ({
    path: `tile/${level}/${numberPath(n)}`,
    n,
    width: Math.min(256, hashes - n * 256),
  }));
}

/** The file at its width, or else the full one. */
function readAt(read: ReadFile, path: string, width: number): [Buffer | undefined, boolean] {
  const exact = read(width === 256 ? path : `${path}.p/${width}`);
  if (exact !== undefined || width === 256) return [exact, false];
  return [read(path), true];
}

/** The leaf hashes, when all tiles reach the root. What is wrong with the tiles shows only when all are there. */
function checkTiles(read: ReadFile, size: number, root: Buffer): Buffer[] {
  const levels: Buffer[][] = [];
  for (let level = 0, hashes = size; hashes > 0; level += 1, hashes = Math.floor(hashes / 256)) {
    const own: Buffer[] = [];
    for (const { path, width } of tilesOf(String(level), hashes)) {
      const [bytes, isWider] = readAt(read, path, width);
      if (bytes === undefined || bytes.length < width * 32) throw incomplete();
      if (bytes.length > width * 32 && !(isWider && bytes.length <= 8192)) throw tampered();
      for (let i = 0; i < width; i += 1) own.push(bytes.subarray(i * 32, i * 32 + 32));
    }
    levels.push(own);
  }
  for (const [above, hashes] of levels.slice(1).entries()) {
    for (const [i, hash] of hashes.entries()) {
      const below = levels[above]?.slice(i * 256, i * 256 + 256) ?? [];
      if (!treeHash(below).equals(hash)) throw tampered();
    }
  }
  const [leaves = []] = levels;
  if (!treeHash(leaves).equals(root)) throw tampered();
  return leaves;
}

/** The checkpoints with which keys were replaced are of this log. */
function checkSteps(keys: readonly Key[], leaves: readonly Buffer[]): void {
  for (const { range: [, upTo] = [-1, Infinity], lastRoot } of keys)
    if (upTo <= leaves.length && treeHash(leaves.slice(0, upTo)).toString('base64') !== lastRoot)
      throw tampered();
}

export function checkMirror(
  read: ReadFile,
  given: readonly Key[],
  seenNote?: Buffer,
  history?: string,
): void {
  const note = read('checkpoint');
  if (note === undefined) throw incomplete();
  const keys = keysThatCount(note, given, history, read('keys')?.toString());
  const { origin, size, root } = openCheckpoint(note, keys);
  const seen = seenNote && openCheckpoint(seenNote, keys);
  if (seen !== undefined && seen.size > size) throw tampered(size);
  const leaves = checkTiles(read, size, root);
  checkSteps(keys, leaves);
  if (seen !== undefined && !treeHash(leaves.slice(0, seen.size)).equals(seen.root))
    throw tampered();
  const entries: Buffer[] = [];
  const bundles = tilesOf('entries', size);
  const isThere = ({ path, width }: { path: string; width: number }): boolean =>
    readAt(read, path, width)[0] !== undefined;
  const begins = Math.max(0, bundles.findIndex(isThere)) * 256;
  for (const { path, n, width } of bundles.slice(begins / 256)) {
    const [bundle, isWider] = readAt(read, path, width);
    if (bundle === undefined) {
      checkEntries(entries, leaves, origin, begins);
      continue;
    }
    let at = 0;
    let count = 0;
    while (count < width && at + 2 <= bundle.length) {
      const end = at + 2 + bundle.readUInt16BE(at);
      if (end > bundle.length) break;
      entries.push(bundle.subarray(at + 2, end));
      at = end;
      count += 1;
    }
    checkEntries(entries, leaves.slice(0, n * 256 + width), origin, begins);
    if (at < bundle.length && !isWider) throw tampered(n * 256 + width);
  }
  const upTo = archivedUpTo(entries);
  if (upTo < begins) throw incomplete(upTo);
}

// Bundles

/** Where a file's bytes are in the archive; `isCut` when the archive ends before them. */
interface TarContents {
  files: Map<string, Buffer>;
  isCut: boolean;
}

function readTar(tar: Buffer): TarContents {
  const files = new Map<string, Buffer>();
  const text = (block: Buffer, from: number, to: number): string =>
    block.toString('latin1', from, to).split('\0', 1)[0] ?? '';
  for (let at = 0; at + 512 <= tar.length;) {
    const block = tar.subarray(at, at + 512);
    if (block.every((byte) => byte === 0)) {
      const rest = tar.subarray(at + 512);
      if (rest.length < 512) return { files, isCut: true };
      if (rest.some((byte) => byte !== 0)) throw tampered();
      return { files, isCut: false };
    }
    let sum = 8 * 32;
    for (const [i, byte] of block.entries()) if (i < 148 || i >= 156) sum += byte;
    if (Number.parseInt(text(block, 148, 156), 8) !== sum) throw tampered();
    const size = Number.parseInt(text(block, 124, 136), 8);
    const path = text(block, 0, 100);
    if (files.has(path)) throw tampered();
    files.set(path, tar.subarray(at + 512, at + 512 + size));
    const end = at + 512 + Math.ceil(size / 512) * 512;
    if (tar.subarray(at + 512 + size, end).some((byte) => byte !== 0)) throw tampered();
    if (end > tar.length) return { files, isCut: true };
    at = end;
  }
  return { files, isCut: true };
}

export function checkBundle(tar: Buffer, given: readonly Key[], history?: string): void {
  const { files, isCut } = readTar(tar);
  const read: ReadFile = (path) => files.get(path);
  const must = (path: string): Buffer => {
    const content = read(path);
    if (content === undefined) throw incomplete();
    return content;
  };
  const manifest = must('manifest.json').toString();
  const note = must('checkpoint');
  let keyHistory: string | undefined;
  try {
    ({ keyHistory } = JSON.parse(manifest) as { keyHistory?: string });
  } catch {
    // It is not what it must be, which shows below.
  }
  const keys = keysThatCount(note, given, history, keyHistory);
  const { origin, size, root } = openCheckpoint(note, keys);
  const carried = must('verifier-key').toString().trim();
  const [key] = readKeys([carried]);
  if (!keys.some(({ id, name }) => key?.name === name && key.id.equals(id))) throw tampered();
  const [from, to] = (JSON.parse(manifest) as { range: [number, number] }).range;
  const isWhole = from === 0 && to === size;
  const expected = {
    format: `sallyport-evidence/${isWhole ? 1 : 2}`,
    origin,
    ...(isWhole ? {} : { size }),
    range: [from, to],
    entries: to - from,
    checkpointSha256: createHash('sha256').update(note).digest('hex'),
    ...(keyHistory === undefined ? {} : { keyHistory }),
  };
  if (manifest !== `${JSON.stringify(expected, null, 2)}\n`) throw tampered();
  const leaves = checkTiles(read, size, root);
  checkSteps(keys, leaves);
  const names = new Set(['manifest.json', 'checkpoint', 'verifier-key']);
  for (let hashes = size, level = 0; hashes > 0; hashes = Math.floor(hashes / 256), level += 1)
    for (const { path, width } of tilesOf(String(level), hashes))
      names.add(width === 256 ? path : `${path}.p/${width}`);
  const entries: Buffer[] = [];
  for (let first = from; first < to; first += 1024 - (first % 1024)) {
    const end = Math.min(to, first - (first % 1024) + 1024);
    const path = `entries/${String(first).padStart(12, '0')}.jsonl`;
    names.add(path);
    const content = read(path);
    if (content === undefined) {
      checkEntries(entries, leaves, origin, from);
      continue;
    }
    let at = 0;
    for (let line = content.indexOf(10); line !== -1; line = content.indexOf(10, at)) {
      entries.push(content.subarray(at, line));
      at = line + 1;
    }
    checkEntries(entries, leaves.slice(0, end), origin, from);
    if (at < content.length) throw tampered(from + entries.length);
  }
  for (const path of files.keys()) if (!names.has(path)) throw tampered();
  if (isCut) throw incomplete();
  if (to < size) throw incomplete(to);
  const upTo = archivedUpTo(entries);
  if (upTo < from) throw incomplete(upTo);
}
