/** `sallyport demo --model-only`: the demo model as an upstream for brokers of one's own. */
import { firstStopSignal } from '../stop.ts';
import { startDemoModel } from './model.ts';

/** Serves until SIGTERM or SIGINT. @returns the exit code */
export async function serveModel(
  { host, port, json }: { host?: string; port?: number; json?: boolean },
  out: (text: string) => void,
): Promise<number> {
  const signalled = firstStopSignal();
  const model = await startDemoModel({ ...(host && { host }), ...(port && { port }) });
  const { url, models } = model;
  out(
    json
      ? `${JSON.stringify({ url, models })}\n`
      : `The demo model, a script that answers always alike, is at ${url}. It speaks both dialects and serves: ${models.join(', ')}.\nStop with Ctrl-C.\n`,
  );
  await signalled;
  await model.close();
  return 0;
}
