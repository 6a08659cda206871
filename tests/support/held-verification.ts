import { vi } from 'vitest';

/**
 * Makes the next check of a signature wait. Resolves when it waits, with what lets it go on.
 *
 * @param work begins what the check is a part of
 */
export async function holdVerification(work: () => void): Promise<() => void> {
  const { subtle } = globalThis.crypto;
  const verify = subtle.verify.bind(subtle);
  let letGo = (): void => undefined;
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  const waiting = new Promise<void>((resolve) => {
    vi.spyOn(subtle, 'verify').mockImplementationOnce(async (...parts) => {
      resolve();
      await gate;
      return verify(...parts);
    });
  });
  work();
  await waiting;
  return letGo;
}
