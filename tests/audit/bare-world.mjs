// Runs the library in a context that has what browsers have, and nothing of Node. Input and answer are JSON.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import vm from 'node:vm';

const input = JSON.parse(readFileSync(0, 'utf8'));
const context = vm.createContext({ TextEncoder, TextDecoder, atob, btoa, input });
const loaded = new Map();

function load(url) {
  let module = loaded.get(url);
  if (!module) {
    const code = readFileSync(fileURLToPath(url), 'utf8');
    module = new vm.SourceTextModule(code, { context, identifier: url });
    loaded.set(url, module);
  }
  return module;
}

function link(name, { identifier }) {
  if (name.startsWith('.')) return load(new URL(name, identifier).href);
  return load(pathToFileURL(createRequire(identifier).resolve(name)).href);
}

const story = new vm.SourceTextModule(
  `
  import { createVerifier } from './verify/index.js';
  import { browserPrimitives } from './verify/browser.js';
  const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const verifier = createVerifier(browserPrimitives);
  const entry = bytesOf(input.entry);
  const read = async (path) => input.files[path] && bytesOf(input.files[path]);
  const log = await verifier.log({ read }, input.key);
  const receipt = verifier.receipt(entry, input.receipt, input.key);
  entry[20] ^= 1;
  const tampered = verifier.receipt(entry, input.receipt, input.key);
  export default {
    globals: [typeof Buffer, typeof process, typeof require].join(' '),
    receipt: receipt.status,
    log: log.status,
    entries: log.entriesChecked,
    tampered: tampered.firstBadIndex,
  };
  `,
  { context, identifier: new URL('story.js', input.dist).href },
);
await story.link(link);
await story.evaluate();
process.stdout.write(JSON.stringify(story.namespace.default));
