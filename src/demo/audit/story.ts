/**
 * `sallyport demo audit`: what can be proven without trusting anyone. A call that the host cannot read, receipts, a statement, two
 * labs that watch each other's logs, evidence, and what comes of changing it. Every check is a command that its user would run.
 */
import { tell } from '../tell.ts';
import { countCalls, keepReceipts } from './own-record.ts';
import { sceneOf } from './scene.ts';
import { callInSecret, openWhatIsSealed } from './sealed-call.ts';
import { twoThatWatch, type Site } from './sites.ts';
import { tamper } from './tamper.ts';
import { watchEachOther } from './two-labs.ts';

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
