/** Makes what forwards the log to the receivers that the configuration names. */
import type { Forwarding } from '../core/forwarding.ts';
import { FileForwarder } from './file.ts';
import type { Forwarder } from './forwarder.ts';
import { SyslogForwarder } from './syslog.ts';
import { WebhookForwarder } from './webhook.ts';

interface Around {
  /** The compiled file of the thread that writes a file. */
  fileThread: URL;
  /** Name of this machine or service, as syslog messages say it. */
  hostname: string;
  /** Told why a file could not be written. */
  onFileFailed: (id: string, why: string) => void;
}

/**
 * The forwarders by the id of their receiver.
 *
 * @throws with the option that is wrong and what to do, never with a secret
 */
export function openForwarders(
  { syslog, webhooks, files }: Forwarding,
  { fileThread, hostname, onFileFailed }: Around,
): Map<string, Forwarder> {
  const forwarders = new Map<string, Forwarder>();
  const open = (option: string, id: string, make: () => Forwarder): void => {
    try {
      forwarders.set(id, make());
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`"${option}" ("${id}"): ${why}`, { cause: error });
    }
  };
  for (const [i, one] of syslog.entries())
    open(`forward.syslog[${i}]`, one.id, () => new SyslogForwarder(one, hostname));
  for (const [i, one] of webhooks.entries())
    open(`forward.webhooks[${i}]`, one.id, () => new WebhookForwarder(one));
  for (const [i, one] of files.entries()) {
    const failed = (why: string): void => onFileFailed(one.id, why);
    open(`forward.files[${i}]`, one.id, () => new FileForwarder(one, fileThread, failed));
  }
  return forwarders;
}
