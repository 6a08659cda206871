/** What a broker's process keeps in memory when everything that can go has gone. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { newDirectory, type Running } from './broker-process.ts';

export interface Memory {
  /** Bytes that the heaps of all threads hold, and the buffers outside of them. */
  held: number;
  /** Bytes that the process has of the machine. */
  resident: number;
}

/** Collects what is garbage in all threads upon SIGUSR2, and says on stderr what is left. */
const PRELOADED = `
  import { setFlagsFromString } from 'node:v8';
  import { runInNewContext } from 'node:vm';
  import { BroadcastChannel, isMainThread } from 'node:worker_threads';

  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc');
  const channel = new BroadcastChannel('memory');
  const tick = () => new Promise((resolve) => setImmediate(resolve));
  const held = async () => {
    for (let i = 0; i < 6; i += 1) {
      gc();
      await tick();
    }
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  if (isMainThread) {
    const ofOthers = [];
    process.on('SIGUSR2', () => channel.postMessage('collect'));
    channel.onmessage = async ({ data }) => {
      // The writer, and the thread that copies its write-ahead log back.
      if (ofOthers.push(data) < 2) return;
      const [ofWriter, ofCheckpointer] = ofOthers.splice(0);
      const ofMain = await held();
      const { rss } = process.memoryUsage();
      process.stderr.write('memory ' + JSON.stringify({ held: ofMain + ofWriter + ofCheckpointer, resident: rss }) + '\\n');
    };
  } else {
    channel.onmessage = async ({ data }) => {
      if (data === 'collect') channel.postMessage(await held());
    };
  }
  channel.unref();
`;

/** The environment of a process that can be measured. */
export function measurable(): Record<string, string> {
  const path = join(newDirectory(), 'measured.mjs');
  writeFileSync(path, PRELOADED);
  return { NODE_OPTIONS: `--import ${pathToFileURL(path).href}` };
}

/** Measures a process that was started with {@link measurable}. */
export async function measure(process: Running): Promise<Memory> {
  const before = reports(process.stderr).length;
  process.signal('SIGUSR2');
  return process.until(({ stderr }) => reports(stderr)[before]);
}

const reports = (stderr: string): Memory[] =>
  [...stderr.matchAll(/^memory (\{.*\})$/gm)].map(([, json = '']) => JSON.parse(json) as Memory);
