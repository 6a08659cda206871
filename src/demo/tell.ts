/** Sets the stage for a story: a world of its own with a demo model behind it, taken down again at the end. */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../lib/log.ts';
import { startDemoModel } from './model.ts';
import { Narrator } from './narrator.ts';
import { startDemoWorld, type DemoOptions, type DemoWorld } from './world.ts';

export interface Stage {
  world: DemoWorld;
  /** Starts another world, beside the first one and with the same model behind it. It is taken down with the rest. */
  another(settings: Setting): Promise<DemoWorld>;
  narrator: Narrator;
  /** A folder that is thrown away afterwards. */
  folder: string;
}

type Setting = Partial<Pick<DemoOptions, 'dataDir' | 'origin' | 'port' | 'witnesses'>>;

/**
 * Tells a story.
 *
 * @param setting what is to be otherwise in its world
 * @returns 0, or 1 as soon as a step is not as it should be
 */
export async function tell(
  out: (text: string) => void,
  story: (stage: Stage) => Promise<void>,
  setting: (folder: string) => Setting | Promise<Setting> = () => ({}),
): Promise<number> {
  const narrator = new Narrator(out);
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-story-'));
  const model = await startDemoModel();
  const worlds: DemoWorld[] = [];
  const another = async (settings: Setting): Promise<DemoWorld> => {
    const world = await startDemoWorld({
      dataDir: folder,
      host: '127.0.0.1',
      port: 0,
      upstream: model.url,
      models: model.models,
      dialects: ['openai', 'anthropic'],
      log: createLogger({ level: 'error' }),
      ...settings,
    });
    worlds.push(world);
    return world;
  };
  try {
    const world = await another(await setting(folder));
    await story({ world, another, narrator, folder });
    narrator.end();
    return 0;
  } catch (error) {
    narrator.failed(error);
    return 1;
  } finally {
    for (const { server } of worlds) await server.close();
    await model.close();
    await rm(folder, { recursive: true, force: true });
  }
}
