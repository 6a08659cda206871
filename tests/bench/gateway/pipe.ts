/** The process of the bare pipe: what a proxy of `node:http` and undici costs at least. It checks nothing. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';
import { answerParent } from './child.ts';

answerParent(async ({ upstream }: { upstream: string }) => {
  const pool = new Pool(upstream, { connections: null });
  const pipe = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const { statusCode, headers, body } = await pool.request({
      method: 'POST',
      path: req.url as string,
      headers: {
        'content-type': req.headers['content-type'],
        'content-length': req.headers['content-length'],
        authorization: req.headers.authorization,
      },
      body: req,
    });
    res.writeHead(statusCode, headers);
    body.pipe(res);
  };
  const server = createServer((req, res) => {
    pipe(req, res).catch((error: unknown) => res.destroy(error as Error));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
});
