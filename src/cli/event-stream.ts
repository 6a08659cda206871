/** Reading Server-Sent Events (WHATWG HTML, section 9.2.6), as far as the broker sends them. */

export interface ServerEvent {
  /** `message` where the server gives it no name. */
  type: string;
  /** The last id that the server gave, here or before; empty where it gave none. */
  lastId: string;
  /** undefined: no event, only an id. */
  data: string | undefined;
}

/** A line longer than that is no event of a broker. */
const LONGEST_LINE = 1_048_576;

/**
 * The events of an answer as they come. Ends with the answer; an event that is cut off is not one.
 *
 * @throws when the connection breaks, or a line has no end
 */
export async function* serverEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  let lastId = '';
  let type = 'message';
  let data: string[] = [];
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    if (rest.length > LONGEST_LINE) throw new Error('The stream holds a line without an end.');
    for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n')) {
      const line = rest.slice(0, end).replace(/\r$/, '');
      rest = rest.slice(end + 1);
      if (line === '') {
        yield { type, lastId, data: data.length === 0 ? undefined : data.join('\n') };
        type = 'message';
        data = [];
        continue;
      }
      const [, name = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
      if (name === 'id') lastId = value;
      else if (name === 'event') type = value;
      else if (name === 'data') data.push(value);
    }
  }
}
