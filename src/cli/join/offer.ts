/** Shows what an invitation offers, and says what is asked about it. */
import { showTerms } from '../grant/terms.ts';
import type { Offer } from '../invitation-wire.ts';
import { moment, printDetails, type Cell, type JsonOption } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';

/** Whether joining accepts the terms: before a grant is in force, nobody but the lead accepts them. */
export const acceptsTerms = (offer: Offer): boolean => offer.grant?.state === 'active';

/**
 * Shows who invites whom to what, with the terms in full.
 *
 * @returns the digest of the terms that are accepted by joining, if any are
 * @throws CliError
 */
export function showOffer(
  around: Surroundings,
  offer: Offer,
  options: JsonOption,
): string | undefined {
  const { grant } = offer;
  const details: [string, Cell][] = [
    ['you', offer.name],
    ['lab', offer.lab.name],
    ['as', offer.roles.join(', ')],
    ['invited by', offer.invitedBy.name],
    ['to the broker of', offer.host.name],
    ['open until', moment(offer.expiresAt)],
  ];
  if (grant) {
    details.push(
      ['under the grant', `${grant.title} (${grant.id}, ${grant.state})`],
      ['window', `${moment(grant.window.from)} until ${moment(grant.window.until)}`],
      ['purposes', grant.purposes.join(', ')],
      ['models', grant.models.join(', ')],
    );
  }
  // With --json, standard output is for the document alone.
  printDetails({ out: options.json ? around.err : around.out }, details);
  if (!grant) return undefined;
  const termsDigest = showTerms(around, grant, options);
  return acceptsTerms(offer) ? termsDigest : undefined;
}

/** What is asked before joining. */
export function questionOf(offer: Offer): string {
  return acceptsTerms(offer)
    ? `Are you ${offer.name}, and do you accept these terms?`
    : `Are you ${offer.name}, and do you want to join?`;
}
