import type { ServerResponse } from 'node:http';

/**
 * Writes the head of an answer of the gateway, with the request's id. Nowhere is a header set before: each would
 * make Node check and copy all of them once more.
 */
export function writeHead(
  res: ServerResponse,
  requestId: string,
  status: number,
  headers: Record<string, string | number>,
): void {
  res.writeHead(status, { 'x-request-id': requestId, 'request-id': requestId, ...headers });
}
