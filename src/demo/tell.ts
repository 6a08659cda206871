/** Sets the stage for a story: a world of its own with a demo model behind it, taken down again at the end. */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../lib/log.ts';
import { startDemoModel } from './model.ts';
import { Narrator } from './narrator.ts';
import { startDemoWorld, type DemoWorld } from './world.ts';

export interface Stage {
  world: DemoWorld;
  narrator: Narrator;
  /** A folder that is thrown away afterwards. */
  folder: string;
}

/** Tells a story. @returns 0, or 1 as soon as a step is not as it should be */
export async function tell(
  out: (text: string) => void,
  story: (stage: Stage) => Promise<void>,
): Promise<number> {
  const narrator = new Narrator(out);
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-story-'));
  const model = await startDemoModel();
  const world = await startDemoWorld({
    dataDir: folder,
    host: '127.0.0.1',
    port: 0,
    upstream: model.url,
    models: model.models,
    dialects: ['openai', 'anthropic'],
    log: createLogger({ level: 'error' }),
  });
  try {
    await story({ world, narrator, folder });
    narrator.end();
    return 0;
  } catch (error) {
    narrator.failed(error);
    return 1;
  } finally {
    await world.server.close();
    await model.close();
    await rm(folder, { recursive: true, force: true });
  }
}
