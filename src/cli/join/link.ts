/** The link of an invitation. Nothing here repeats it: it is a secret. */
import { brokerUrl } from '../connection.ts';
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
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const [, invitation, secret] =
    /^#(inv_[0-9a-z]{26})\.([A-Za-z0-9_-]{43})$/.exec(url?.hash ?? '') ?? [];
  if (!url?.pathname.endsWith(PATH) || invitation === undefined || secret === undefined) {
    throw wrongUsage(
      `That is not the whole link of an invitation, which has the form https://…${PATH}#inv_….…: put all of it between quotation marks.`,
    );
  }
  url.hash = '';
  url.pathname = url.pathname.slice(0, -PATH.length);
  return { url: brokerUrl(url.href), invitation, secret };
}
