/** Keeps receipts as the broker gives them: none unchecked, and none in the place of a whole one. */
import type { TrustedKeys } from '../../audit/known-keys.ts';
import { checkUnsigned, verifyReceipt, type ReceiptReport } from '../../audit/verify-receipt.ts';
import { givenKeys } from '../audit/bundle-key.ts';
import { fetchKeyHistory } from '../audit/http-log.ts';
import type { BrokerClient } from '../broker-client.ts';
import { askReceipts } from './ask.ts';
import type { Surroundings } from '../surroundings.ts';
import { readReceiptFile, receiptPath, writeReceipt } from './files.ts';

/** The keys of `--log-key`, else those configured; there may be none. @throws CliError where a file cannot be read */
export const receiptKeys = (around: Surroundings, given: string[] | undefined): TrustedKeys =>
  givenKeys(around, given);

/** What became of a receipt. */
export interface KeptReceipt {
  /** kept: written, or a whole one is there already; refused: it is not what it must be, and nothing was written. */
  outcome: 'kept' | 'refused';
  /** The report on the one that is there, or on what was refused. */
  report: ReceiptReport;
}

/** Receipts in a directory, from a broker. */
export class ReceiptStore {
  readonly #broker: BrokerClient;
  readonly #directory: string;
  readonly #keys: TrustedKeys;
  #history: string | undefined;

  constructor(broker: BrokerClient, directory: string, keys: TrustedKeys) {
    this.#broker = broker;
    this.#directory = directory;
    this.#keys = keys;
  }

  /** Receipts of these requests, not checked. @throws CliError */
  async ask(requests: readonly string[]): Promise<Map<string, string>> {
    const receipts = await askReceipts(this.#broker, requests);
    await this.learnKeys();
    return receipts;
  }

  /** Has the history of the log's keys, so that receipts by a new one can be checked. @throws CliError */
  async learnKeys(): Promise<void> {
    if (this.#keys.keys.length > 0) this.#history = await fetchKeyHistory(this.#broker.url);
  }

  /** Whether a whole receipt of a request is there. */
  has(request: string): boolean {
    return this.#there(request)?.status === 'sound';
  }

  /** @throws what the file system says */
  async keep(request: string, receipt: string): Promise<KeptReceipt> {
    const report = this.#check(Buffer.from(receipt, 'utf8'), request);
    if (report.status !== 'sound' && report.status !== 'incomplete')
      return { outcome: 'refused', report };
    const before = this.#there(request);
    const isLess = before?.status === 'incomplete' && report.status === 'incomplete';
    if (before?.status === 'sound' || isLess) return { outcome: 'kept', report: before };
    await writeReceipt(this.#directory, request, receipt);
    return { outcome: 'kept', report };
  }

  #there(request: string): ReceiptReport | undefined {
    const read = readReceiptFile(receiptPath(this.#directory, request));
    return 'bytes' in read ? this.#check(read.bytes, request) : undefined;
  }

  #check(bytes: Uint8Array, request: string): ReceiptReport {
    // Whoever trusts any keys keeps nothing that none of them signed, whichever log it names.
    const { keys } = this.#keys;
    const report =
      keys.length === 0 ? checkUnsigned(bytes) : verifyReceipt(bytes, this.#keys, this.#history);
    return ofRequest(report, request);
  }
}

/** The report on a receipt that must be of this request. */
export function ofRequest(report: ReceiptReport, request: string): ReceiptReport {
  const { of, status } = report;
  const isOther = of !== undefined && !('request' in of && of.request === request);
  if (!isOther || status === 'could_not_run' || status === 'tampered') return report;
  const what = 'request' in of ? of.request : `entry ${of.entry}`;
  const problem = `It is a receipt of ${what}, and stands in the place of the one of ${request}.`;
  return { ...report, status: 'tampered', problem };
}
