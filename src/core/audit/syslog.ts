/** Entries as messages of syslog (RFC 5424), framed as TLS carries them (RFC 5425). */

/** Facility "log audit", by RFC 5424, section 6.2.1. */
const FACILITY = 13;
const NOTICE = 5;
const INFORMATIONAL = 6;

/** `sequenceId` (section 7.3.1) wraps there. */
const MOST_SEQUENCE = 2_147_483_647;

export interface SyslogSource {
  hostname: string;
  appName: string;
}

/** What a message says of an entry beside the entry. */
export interface SyslogEntry {
  index: number;
  kind: string;
  /** RFC 3339 in UTC. */
  committedAt: string;
  isDenied: boolean;
  /** The exact bytes: the message. They are UTF-8 without a byte order mark, so that they are what was hashed. */
  bytes: Uint8Array;
}

/** One frame: the length of the message in octets, a space, the message (RFC 5425, section 4.3.1). */
export function syslogFrame({ hostname, appName }: SyslogSource, entry: SyslogEntry): Uint8Array[] {
  const { index, kind, committedAt, isDenied, bytes } = entry;
  const priority = FACILITY * 8 + (isDenied ? NOTICE : INFORMATIONAL);
  const sequence = (index % MOST_SEQUENCE) + 1;
  const header = new TextEncoder().encode(
    `<${priority}>1 ${committedAt} ${hostname} ${appName} - ${kind.slice(0, 32)} [meta sequenceId="${sequence}"] `,
  );
  const length = new TextEncoder().encode(`${header.length + bytes.length} `);
  return [length, header, bytes];
}
