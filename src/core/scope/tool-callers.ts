/** Who calls a tool: the model itself, or code that the upstream runs. Then the model acts in there. */
import { each, listOf, object, plain, type Reader } from './fields.ts';
import { objectAt } from './inspection.ts';

/** Those that may, in a tool's definition. */
export const allowedCallers = listOf((value, at, found) => {
  plain(value, at, found);
  if (value !== 'direct') found.use('hostedTools', at);
});

/** The one that has, in a call. */
export function callerWith(idField: string): Reader {
  const read = object(each(['type', idField], plain));
  return (value, at, found) => {
    read(value, at, found);
    if (objectAt(value, at)['type'] !== 'direct') found.use('hostedTools', at);
  };
}
