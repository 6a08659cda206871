/** The demo model as a peer behind a broker, for tests of whole operations. */
import { DEMO_MODEL } from '../../src/demo/model-reply.ts';
import type { Answer } from '../../src/demo/model-wire.ts';
import { MODEL } from './running-broker.ts';
import { status, stream, type Handler } from './scripted-upstream.ts';

/** Has the demo model answer, as the model that the grant names; a stream byte by byte. */
export function demo(answer: (body: unknown, number: number) => Answer): Handler {
  return (req, res) => {
    const given = answer({ ...(req.body as object), model: DEMO_MODEL }, 1);
    const asModel = (text: string): string => text.replaceAll(DEMO_MODEL, MODEL);
    if ('frames' in given)
      return stream([...given.frames].map(asModel), { splitAt: 'byte' })(req, res);
    const body: unknown = JSON.parse(asModel(JSON.stringify(given.body)));
    return status(given.status, body)(req, res);
  };
}

/** One event of a stream. */
export const sse = (data: object, type?: string): string =>
  `${type === undefined ? '' : `event: ${type}\n`}data: ${JSON.stringify(data)}\n\n`;

/** What a tool of the client takes; the demo model calls it with `{ city: 'demo' }`. */
export const PARAMETERS = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};
