/** Other gateways in front of the same upstream. They check nothing of what Sallyport checks. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Program, freePort, newDirectory } from './program.ts';

/** Has a package.json of its own: the product depends on none of it. */
const PEERS = fileURLToPath(new URL('../peers/', import.meta.url));

const PORTKEY = join(PEERS, 'node_modules/@portkey-ai/gateway/build/start-server.js');

/** Where Debian's package puts it. */
const NGINX = '/usr/sbin/nginx';

export interface Peer {
  program: Program;
  port: number;
  /** Headers that its clients send, beside those of all. */
  headers: string;
}

/** Starts Portkey's open-source gateway; installs it where it is not. */
export async function startPortkey(upstream: string): Promise<Peer> {
  if (!existsSync(PORTKEY)) {
    const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--prefix', PEERS], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    if (status !== 0) throw new Error('Portkey could not be installed: see what npm said.');
  }
  const port = await freePort();
  const program = new Program(process.execPath, [PORTKEY, '--headless', `--port=${port}`], {
    directory: newDirectory(),
    env: { NODE_ENV: 'production' },
  });
  await program.untilItAnswers(`http://127.0.0.1:${port}/`);
  const headers = `x-portkey-provider: openai\r\nx-portkey-custom-host: ${upstream}/v1\r\n`;
  return { program, port, headers };
}

/** Starts nginx with a rate limit and an access log. @returns undefined where it is not installed */
export async function startNginx(upstream: string): Promise<Peer | undefined> {
  if (!existsSync(NGINX)) return undefined;
  const port = await freePort();
  const directory = newDirectory();
  const file = join(directory, 'nginx.conf');
  writeFileSync(file, nginxConfiguration(directory, port, new URL(upstream).host));
  const args = ['-p', directory, '-c', file, '-e', join(directory, 'error.log')];
  const program = new Program(NGINX, args, { directory });
  await program.untilItAnswers(`http://127.0.0.1:${port}/ready`);
  return { program, port, headers: '' };
}

function nginxConfiguration(directory: string, port: number, upstream: string): string {
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((what) => `${what}_temp_path ${directory}/${what};`)
    .join(' ');
  return `
daemon off;
worker_processes auto;
worker_rlimit_nofile 16384;
pid ${directory}/nginx.pid;
events { worker_connections 8192; }
http {
  ${places}
  access_log ${directory}/access.log;
  client_max_body_size 4m;
  client_body_buffer_size 256k;
  keepalive_requests 1000000000;
  limit_req_zone $http_authorization zone=callers:10m rate=1000000r/s;
  upstream model { server ${upstream}; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location = /ready { return 200; }
    location / {
      limit_req zone=callers burst=100000 nodelay;
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header connection "";
      proxy_buffering off;
    }
  }
}
`;
}
