/** What the same load is put on, one after the other: the upstream itself, and what can stand in front of it. */
import { Child } from './child.ts';
import { startNginx, startPortkey, type Peer } from './peers.ts';
import { Premises, startSallyport, type RunningSallyport } from './sallyport.ts';

export interface Target {
  name: string;
  port: number;
  /** Of the process under test. */
  pid: number;
  headers: string;
}

/** The processes of one area. */
export interface Setting {
  model: string;
  grant: string;
  clients: Child;
  direct: Target;
  pipe: Target;
  sallyport: Target;
  broker: RunningSallyport;
  /** In the order of a round. */
  targets: readonly Target[];
  close(): Promise<void>;
}

export interface SettingOptions {
  /** Whether to start other gateways, too. */
  peers?: boolean;
  profileInto?: string | undefined;
  /** What the grant says beside its caps. */
  grant?: object;
}

export async function prepareSetting(options: SettingOptions = {}): Promise<Setting> {
  const premises = await Premises.prepare(options.grant);
  const upstream = new Child(new URL('./upstream.ts', import.meta.url));
  const pipe = new Child(new URL('./pipe.ts', import.meta.url));
  const clients = new Child(new URL('./clients.ts', import.meta.url));
  const { model, grant } = premises.facts;
  const upstreamPort = await upstream.ask<number>({ model });
  const url = `http://127.0.0.1:${upstreamPort}`;
  const pipePort = await pipe.ask<number>({ upstream: url });
  const broker = await startSallyport(premises, url, options.profileInto);
  const peers = options.peers ? await startPeers(url) : [];
  const sallyport = targetOf('sallyport', broker);
  const { headers } = sallyport;
  const own = {
    direct: { name: 'direct', port: upstreamPort, pid: upstream.pid, headers },
    pipe: { name: 'pipe', port: pipePort, pid: pipe.pid, headers },
    sallyport,
  };
  const others = peers.map(({ name, port, program, headers: more }) => ({
    name,
    port,
    pid: program.pid,
    headers: headers + more,
  }));
  return {
    model,
    grant,
    clients,
    ...own,
    broker,
    targets: [...Object.values(own), ...others],
    close: async () => {
      for (const { program } of peers) await program.stop();
      await broker.close();
      for (const child of [clients, pipe, upstream]) child.close();
    },
  };
}

async function startPeers(upstream: string): Promise<(Peer & { name: string })[]> {
  const portkey = await startPortkey(upstream);
  const nginx = await startNginx(upstream);
  if (!nginx) process.stderr.write('NGINX IS NOT INSTALLED HERE AND IS NOT MEASURED.\n');
  return [{ name: 'portkey', ...portkey }, ...(nginx ? [{ name: 'nginx', ...nginx }] : [])];
}

/** A broker as a target. */
export function targetOf(name: string, { port, pid, token }: RunningSallyport): Target {
  return { name, port, pid, headers: `authorization: Bearer ${token}\r\n` };
}

/** The bytes of a request to a target. */
export function requestTo({ port, headers }: Target, body: string): string {
  const lines = [
    'POST /v1/chat/completions HTTP/1.1',
    `host: 127.0.0.1:${port}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return `${lines.join('\r\n')}\r\n${headers}\r\n${body}`;
}
