/** Notices as plain text mails over SMTP (RFC 5321), one connection for each. */
import MailComposer from 'nodemailer/lib/mail-composer';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { Attempt } from '../core/deliveries.ts';
import { mayBeInTheClear, type SmtpSettings } from '../core/notice-channels.ts';
import { readSecret } from './secrets.ts';
import type { OutgoingNotice, Sender } from './sender.ts';

/** For each wait; the whole attempt has a deadline of its own. */
const LONGEST_WAIT_MS = 10_000;

/** To answer QUIT. */
const TO_TAKE_LEAVE_MS = 500;

const LONGEST_SUBJECT = 150;

interface EmailChannel {
  smtp: SmtpSettings;
  from: string;
  to: string;
}

export class Email implements Sender {
  readonly #channel: EmailChannel;

  /** @throws with what to do, never with the password */
  constructor(channel: EmailChannel) {
    if (channel.smtp.password !== undefined) readSecret(channel.smtp.password);
    this.#channel = channel;
  }

  async deliver(outgoing: OutgoingNotice, signal: AbortSignal): Promise<Attempt> {
    const { smtp, from, to } = this.#channel;
    let password: string | undefined;
    try {
      password = smtp.password === undefined ? undefined : readSecret(smtp.password);
    } catch {
      return { delivered: false, failure: 'secret_unusable' };
    }
    const message = await compose(outgoing, from, to);
    const connection = new SMTPConnection(connectionOptions(smtp));
    const hangUp = (): void => connection.close();
    signal.addEventListener('abort', hangUp);
    if (signal.aborted) hangUp();
    try {
      const attempt = await new Promise<Attempt>((resolve) => {
        const fail = (error: SmtpError): void => resolve(failureOf(error));
        connection.once('error', fail);
        connection.once('end', () => resolve({ delivered: false, failure: 'unreachable' }));
        // The envelope is ours alone: nothing in a notice can add a recipient.
        const send = (): void =>
          connection.send({ from, to: [to] }, message, (error) =>
            error ? fail(error) : resolve({ delivered: true }),
          );
        connection.connect((error) => {
          if (error) fail(error);
          else if (smtp.user === undefined || password === undefined) send();
          else
            connection.login({ user: smtp.user, pass: password }, (refused) =>
              refused
                ? resolve({ delivered: false, failure: 'login_failed', status: statusOf(refused) })
                : send(),
            );
        });
      });
      if (attempt.delivered && !signal.aborted) connection.quit();
      return attempt;
    } finally {
      signal.removeEventListener('abort', hangUp);
      // What the server says to QUIT changes nothing any more, nor does how it hangs up.
      connection.on('error', () => undefined);
      setTimeout(hangUp, TO_TAKE_LEAVE_MS).unref();
    }
  }

  close(): void {
    // There is no connection but during an attempt, and that has its own signal.
  }
}

function connectionOptions(smtp: SmtpSettings): ConstructorParameters<typeof SMTPConnection>[0] {
  const { host, port, secure } = smtp;
  const inTheClear = !secure && mayBeInTheClear(smtp);
  return {
    host,
    port,
    secure,
    // Without TLS nothing is sent, neither mail nor password.
    requireTLS: !secure && !inTheClear,
    ignoreTLS: inTheClear,
    tls: { minVersion: 'TLSv1.2' },
    connectionTimeout: LONGEST_WAIT_MS,
    greetingTimeout: LONGEST_WAIT_MS,
    socketTimeout: LONGEST_WAIT_MS,
    dnsTimeout: LONGEST_WAIT_MS,
    socketCloseTimeout: 0,
    maxResponseSize: 65_536,
  };
}

/** Of nodemailer: its own code for what went wrong, and the server's status. */
interface SmtpError extends Error {
  code?: unknown;
  responseCode?: unknown;
}

const statusOf = ({ responseCode }: SmtpError): number | undefined =>
  typeof responseCode === 'number' ? responseCode : undefined;

/** A server that says 5yz to recipient or content is not to be asked again (RFC 5321, section 4.2.1). */
function failureOf(error: SmtpError): Attempt {
  const status = statusOf(error);
  if (status === undefined) return { delivered: false, failure: 'unreachable' };
  const isFinal = status >= 500 && (error.code === 'EENVELOPE' || error.code === 'EMESSAGE');
  return { delivered: false, failure: isFinal ? 'rejected' : 'refused', status, isFinal };
}

async function compose(
  { notice, broker }: OutgoingNotice,
  from: string,
  to: string,
): Promise<Buffer> {
  const title = onOneLine(notice.title);
  const { id, kind, ref, at } = notice;
  const domain = from.slice(from.lastIndexOf('@') + 1);
  return new MailComposer({
    from: { name: 'Sallyport', address: from },
    to: { name: '', address: to },
    subject: `[Sallyport] ${kind}: ${shortened(title)}`,
    date: new Date(at),
    // The same at each attempt, so that whoever gets it twice can tell.
    messageId: `<${id}@${domain}>`,
    headers: { 'Auto-Submitted': 'auto-generated' },
    text: [
      title,
      '',
      `What:    ${kind}`,
      `About:   ${onOneLine(ref)}`,
      `When:    ${new Date(at).toISOString()}`,
      `Broker:  ${broker}`,
      `Notice:  ${id}`,
      '',
      `To read it, and to say that you took note of it:`,
      '',
      `  sallyport notice show ${id}`,
      `  sallyport notice ack ${id}`,
      '',
    ].join('\n'),
    disableFileAccess: true,
    disableUrlAccess: true,
  })
    .compile()
    .build();
}

/** Titles hold names that others chose: nothing of them begins a line, or another header. */
const onOneLine = (text: string): string => text.replaceAll(/[\p{C}\p{Zl}\p{Zp}\s]+/gu, ' ').trim();

const shortened = (text: string): string =>
  text.length <= LONGEST_SUBJECT ? text : `${SUBJECT_START.exec(text)?.[0] ?? ''}…`;

/** Whole characters only. */
const SUBJECT_START = new RegExp(`^.{0,${LONGEST_SUBJECT - 1}}`, 'u');
