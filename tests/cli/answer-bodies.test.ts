import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import { bytesOf, textOf } from '../../src/cli/http.ts';

let answer: (res: ServerResponse) => void = () => undefined;
const server = createServer((_req, res) => answer(res));
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

describe('the body of an answer', () => {
  it('is read whole', async () => {
    answer = (res) => res.end('é'.repeat(50_000));
    expect(await textOf(await fetch(url))).toBe('é'.repeat(50_000));
    expect(await bytesOf(await fetch(url), 100_000)).toHaveLength(100_000);
  });

  it('that is longer than it may be is read no further', async () => {
    const closed = new Promise<void>((resolve) => {
      answer = (res) => {
        res.once('close', resolve);
        res.write(Buffer.alloc(1_001));
      };
    });
    await expect(bytesOf(await fetch(url), 1_000)).rejects.toThrow('longer than 1000 bytes');
    await closed;
  });

  it('that trickles is given up when its time is over', async () => {
    answer = (res) => {
      const trickle = setInterval(() => res.write('x'), 20);
      res.once('close', () => clearInterval(trickle));
    };
    await expect(bytesOf(await fetch(url), 1_000_000, 200)).rejects.toMatchObject({
      message: expect.stringContaining('did not come to its end in time'),
      exitCode: 3,
    });
  });

  it('that breaks off is said to', async () => {
    answer = (res) => {
      res.writeHead(200, { 'content-length': 10 });
      res.write('x', () => res.destroy());
    };
    await expect(bytesOf(await fetch(url), 1_000)).rejects.toThrow('broke off');
  });
});
