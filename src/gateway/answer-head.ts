import type { ServerResponse } from 'node:http';

/** Names and values of headers by turns: Node writes them as they are, where an object would be gone through. */
export type HeaderList = string[];

/** Headers of an answer that is one JSON document, which nobody may keep. @param length of it, bytes */
export const jsonHeaders = (length: number): HeaderList => [
  'content-type',
  'application/json; charset=utf-8',
  'content-length',
  String(length),
  'cache-control',
  'no-store',
];

/**
 * Writes the head of an answer of the gateway, with the request's id. Nowhere is a header set before: each would
 * make Node check and copy all of them once more.
 */
export function writeHead(
  res: ServerResponse,
  requestId: string,
  status: number,
  headers: HeaderList,
): void {
  headers.push('x-request-id', requestId, 'request-id', requestId);
  res.writeHead(status, headers);
}
