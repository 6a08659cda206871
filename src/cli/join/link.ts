/** The link of an invitation. Nothing here repeats it: it is a secret. */
import { commandLine } from '../command-line.ts';
import { brokerUrl } from '../connection.ts';
import { shellQuoted } from '../printable.ts';
import type { Surroundings } from '../surroundings.ts';
import { wrongUsage } from '../problems.ts';

export interface Link {
  /** The broker, without a slash at its end. */
  url: string;
  /** Id of the invitation. */
  invitation: string;
  secret: string;
}

const PATH = '/join';

/** Takes a link apart. @throws CliError */
export function parseLink(text: string): Link {
  const trimmed = text.trim();
  const url = URL.canParse(trimmed) ? new URL(trimmed) : undefined;
  const [, invitation, secret] =
    /^#(inv_[0-9a-z]{26})\.([A-Za-z0-9_-]{43})$/.exec(url?.hash ?? '') ?? [];
  if (!url?.pathname.endsWith(PATH) || invitation === undefined || secret === undefined) {
    throw wrongUsage(
      `That is not the whole link of an invitation, which has the form https://…${PATH}#inv_….…: give all of it, on a command line between quotation marks.`,
    );
  }
  url.hash = '';
  url.pathname = url.pathname.slice(0, -PATH.length);
  return { url: brokerUrl(url.href), invitation, secret };
}

/** The command by which somebody goes on who was registered, but whose profile was not kept. */
export function loginWith(
  around: Pick<Surroundings, 'env'>,
  url: string,
  person: string,
  key: string,
): string {
  return commandLine(around, `login --url ${url} --person ${person} --key ${shellQuoted(key)}`);
}
