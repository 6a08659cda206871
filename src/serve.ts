/** `sallyport serve`. */
import type { Command } from 'commander';
import { QuietExit, failed, wrongUsage } from './cli/problems.ts';
import { defineCommand } from './cli/define.ts';
import { ConfigError, loadConfig } from './config/load.ts';
import { KeyFileError } from './lib/key-file.ts';
import { createLogger } from './lib/log.ts';
import type { RunningServer, ServerOptions } from './server.ts';
import { firstStopSignal, untilStopped } from './stop.ts';

export function addServe(program: Command): void {
  defineCommand(program, 'serve', {
    summary: 'Run the broker',
    details:
      'Reads the configuration from --config or SALLYPORT_CONFIG; without either, embedded defaults hold (no endpoints, 127.0.0.1:8787, ./sallyport-data). config/sallyport.example.yaml shows every option. SIGTERM stops it in order.',
    examples: ['sallyport serve --config sallyport.yaml'],
    exitCodes:
      'Exit codes:\n  0  stopped by a signal, everything recorded\n  1  could not start, or had to stop\n  2  the configuration is wrong',
  })
    .option('--config <file>', 'configuration file (YAML)')
    .action(async ({ config: path }: { config?: string }) => {
      const config = readConfig(path ?? process.env['SALLYPORT_CONFIG']);
      const log = createLogger(config.logging);
      const signalled = firstStopSignal();
      const server = await start({ config, log });
      log.info(
        {
          url: server.url,
          metrics: server.metricsUrl,
          dataDir: server.dataDir,
          endpoints: config.endpoints.length,
        },
        'listening',
      );
      if (server.broker.readers.hostLabId() === undefined) {
        log.warn(
          { dataDir: server.dataDir },
          'this data directory has no host lab yet, so nobody can log in; make one with "sallyport init"',
        );
      }
      if (config.endpoints.length === 0) {
        log.warn(
          'no endpoint is configured, so there is no model to call: describe one under "endpoints" in the configuration',
        );
      }
      const code = await untilStopped(server, log, signalled);
      log.info('stopped');
      if (code !== 0) throw new QuietExit(code);
    });
}

async function start(options: ServerOptions): Promise<RunningServer> {
  // Loaded only now: every other command starts faster without the server.
  const { startServer } = await import('./server.ts');
  try {
    return await startServer(options);
  } catch (error) {
    // A key of the data directory: not what the user typed, as in other commands.
    if (error instanceof KeyFileError) throw failed(error.message, error);
    throw error;
  }
}

function readConfig(path: string | undefined): ReturnType<typeof loadConfig> {
  try {
    return loadConfig(path);
  } catch (error) {
    if (error instanceof ConfigError) throw wrongUsage(error.message);
    throw error;
  }
}
