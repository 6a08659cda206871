/** Lists in pages. A cursor is opaque to clients: where the last page ended. */
import { z } from 'zod';
import { refuse } from '../core/denials.ts';
import type { PageRequest, Searched } from '../store/page.ts';

/** Query parameters of every list. */
export const pageQuery = {
  cursor: z.string().max(200).optional().describe('"next" of the page before'),
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('Most items of one page'),
};

/** A page of a list. */
export const pageOf = <T extends z.ZodType>(
  item: T,
): z.ZodObject<{ items: z.ZodArray<T>; next: z.ZodNullable<z.ZodString> }> =>
  z.object({
    items: z.array(item),
    next: z
      .string()
      .nullable()
      .describe(
        'Cursor of the next page, also where this one has fewer items than fit; null: this is the last one',
      ),
  });

interface PageQuery {
  cursor?: string | undefined;
  limit: number;
}

interface Page<S> {
  items: S[];
  next: string | null;
}

/**
 * Reads one page. Asks for one thing more than fits, to know whether there is a next page.
 *
 * @param read reads at most `limit` things after an id
 * @param show what is shown of a thing
 */
export function readPage<T extends { id: string }, S>(
  query: PageQuery,
  read: (page: PageRequest) => T[],
  show: (thing: T) => S,
): Page<S> {
  return searchPage(query, (page) => ({ found: read(page), searchedTo: null }), show);
}

/** The same for a list that is searched bit by bit: a page may have fewer items than fit, or none. */
export function searchPage<T extends { id: string }, S>(
  query: PageQuery,
  search: (page: PageRequest) => Searched<T>,
  show: (thing: T) => S,
): Page<S> {
  const after = query.cursor === undefined ? undefined : idOf(query.cursor);
  const { found, searchedTo } = search({ after, limit: query.limit + 1 });
  const items = found.slice(0, query.limit);
  const last = found.length > items.length ? (items.at(-1)?.id ?? null) : searchedTo;
  return {
    items: items.map(show),
    next: last === null ? null : Buffer.from(last).toString('base64url'),
  };
}

function idOf(cursor: string): string {
  const id = Buffer.from(cursor, 'base64url').toString('latin1');
  return /^[a-z]{3}_[0-9a-z]{26}$/.test(id)
    ? id
    : refuse('invalid_request', 'The cursor is not one of this broker. Begin without one.', {
        param: 'cursor',
      });
}
