/** How a serving process ends. */
import type { Logger } from './lib/log.ts';
import type { RunningServer } from './server.ts';

/**
 * Listens for SIGTERM and SIGINT from now on: called before the server starts, so that a signal during
 * the start stops it in order too. A second signal ends the process at once: what was in flight is
 * closed at the next start.
 *
 * @returns resolves at the first signal
 */
export function firstStopSignal(): Promise<undefined> {
  return new Promise((resolve) => {
    let signals = 0;
    const onSignal = (): void => {
      signals += 1;
      if (signals > 1) process.exit(130);
      resolve(undefined);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}

/**
 * Waits for the signal, or for the broker to have to stop by itself; then stops it in order.
 *
 * @returns the exit code: 0, or 1 where the broker could not go on
 */
export async function untilStopped(
  server: RunningServer,
  log: Logger,
  signalled: Promise<undefined>,
): Promise<number> {
  const reason = await Promise.race([signalled, server.failed]);
  if (reason !== undefined) log.fatal({ reason }, 'the broker has to stop');
  await server.close();
  return reason === undefined ? 0 : 1;
}
