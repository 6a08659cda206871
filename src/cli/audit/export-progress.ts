/** Shows on a terminal how far an export has come. */
import type { BrokerClient } from '../broker-client.ts';
import { CliError } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { exportSchema } from './export-wire.ts';

const ASK_EVERY_MS = 1_000;

export class ExportProgress {
  readonly #around: Surroundings;
  readonly #broker: BrokerClient;
  readonly #exportId: string;
  readonly #isFiltered: boolean;
  #bytes = 0;
  #entries = '';
  #timer: NodeJS.Timeout | undefined;
  #shown = 0;

  /** @param isFiltered whether nobody knows beforehand how many entries there will be */
  constructor(around: Surroundings, broker: BrokerClient, exportId: string, isFiltered: boolean) {
    this.#around = around;
    this.#broker = broker;
    this.#exportId = exportId;
    this.#isFiltered = isFiltered;
    if (around.columns() === undefined) return;
    this.#timer = setInterval(() => void this.#ask(), ASK_EVERY_MS);
  }

  took(bytes: number): void {
    this.#bytes = bytes;
  }

  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#shown > 0) this.#around.err(`\r${' '.repeat(this.#shown)}\r`);
  }

  async #ask(): Promise<void> {
    try {
      const { running, from, to } = await this.#broker.get(
        `/exports/${this.#exportId}`,
        exportSchema,
      );
      if (running)
        this.#entries = `${count(running.entries)}${this.#isFiltered ? '' : ` of ${count(to - from)}`} entries, `;
    } catch (error) {
      // It is for the eye alone: the export itself says what is wrong.
      if (!(error instanceof CliError)) throw error;
    }
    this.#show();
  }

  #show(): void {
    if (this.#timer === undefined) return;
    const width = (this.#around.columns() ?? 80) - 1;
    const line = `${this.#entries}${(this.#bytes / 1e6).toFixed(1)} MB`.slice(0, width);
    this.#around.err(`\r${line.padEnd(this.#shown)}`);
    this.#shown = Math.max(this.#shown, line.length);
  }
}

const count = (entries: number): string => entries.toLocaleString('en-US');
