/** Clients that go away before they were answered. */
import type { Response } from 'express';

/** Nobody waits for the answer any more: it is no failure of ours. */
export class ClientGone extends Error {
  constructor() {
    super('The client went away before it was answered.');
  }
}

/** Aborts with {@link ClientGone} when the connection that an answer is for closes. */
export function goneOf(res: Response): AbortSignal {
  const gone = new AbortController();
  const end = (): void => gone.abort(new ClientGone());
  if (res.closed || res.destroyed) end();
  else res.once('close', end);
  return gone.signal;
}
