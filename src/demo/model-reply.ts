/**
 * What the demo model says, whatever API it is asked through. All of it is a function of the request, so
 * that the same request always gets the same answer and the same usage, plain or streamed.
 */

/** The only model the demo upstream serves. */
export const DEMO_MODEL = 'demo-model-2026-06-01';

/** The request, reduced to what the script looks at. */
export interface Ask {
  messages: number;
  lastUserText: string;
  /** Tools the reply may call, as far as the client described them with a schema. */
  tools: { name: string; schema: unknown }[];
  /** `auto` calls a tool when the user says "use the tool"; `must` always; a name, that one. */
  toolChoice: 'auto' | 'must' | 'never' | { name: string };
  /** The last message is the result of a tool: time to answer, or a harness would loop for ever. */
  afterToolResult: boolean;
  stop: string[];
  maxTokens: number | undefined;
}

/** The scripted reply. Every piece is one token and, when streamed, one chunk. */
export interface Reply {
  /** Set when the reply is a call of this tool; then the first piece is its name, the rest its arguments. */
  tool: string | undefined;
  pieces: string[];
  end: 'complete' | 'length' | { stop: string };
}

const LONGEST_COUNT = 10_000;
const ECHO_CHARACTERS = 200;
/** What an image or a document costs: its bytes say nothing about tokens. */
const ATTACHMENT_TOKENS = 85;
const PIECE = /\s*(?:\d{1,5}|[^\s\d]{1,4})|\s+$/gu;

/** Cuts text into tokens (up to 5 digits or 4 other characters, with the space before); they join to the text. */
export function tokenize(text: string): string[] {
  return text.match(PIECE) ?? [];
}

/** Counts the tokens of message content in either vendor's form: text, or a list of parts. */
export function contentTokens(content: unknown): number {
  if (content === null || content === undefined) return 0;
  if (typeof content === 'string') return tokenize(content).length;
  if (Array.isArray(content)) {
    return content.reduce<number>((sum, part) => sum + contentTokens(part), 0);
  }
  if (typeof content === 'object') {
    if ('text' in content && typeof content.text === 'string') return contentTokens(content.text);
    if ('type' in content && content.type === 'tool_result' && 'content' in content) {
      return contentTokens(content.content);
    }
    if ('type' in content && /image|audio|file|document/u.test(String(content.type))) {
      return ATTACHMENT_TOKENS;
    }
  }
  return tokenize(JSON.stringify(content)).length;
}

/** The text of message content in either vendor's form; parts that are not text are left out. */
export function contentText(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((part: unknown) =>
      typeof part === 'object' && part && 'text' in part && typeof part.text === 'string'
        ? part.text
        : '',
    )
    .filter((text) => text !== '')
    .join('\n');
}

/** Decides the reply to a request and cuts it by the request's stop sequences and token limit. */
export function scriptReply(ask: Ask): Reply {
  const tool = chooseTool(ask);
  if (tool) {
    const call = [tool.name, ...tokenize(JSON.stringify(exampleOf(tool.schema)))];
    return { tool: tool.name, ...limit(call, 'complete', ask.maxTokens) };
  }
  const whole = textPieces(ask);
  const stopped = firstStop(whole.join(''), ask.stop);
  if (!stopped) return { tool: undefined, ...limit(whole, 'complete', ask.maxTokens) };
  const kept = keepCharacters(whole, stopped.at);
  return { tool: undefined, ...limit(kept, { stop: stopped.stop }, ask.maxTokens) };
}

function textPieces(ask: Ask): string[] {
  const wanted = Number(/\bcount to (\d{1,5})\b/iu.exec(ask.lastUserText)?.[1] ?? 0);
  if (wanted >= 1 && wanted <= LONGEST_COUNT) {
    return Array.from({ length: wanted }, (_, i) => (i === 0 ? '1' : ` ${i + 1}`));
  }
  const messages = ask.messages === 1 ? '1 message' : `${ask.messages} messages`;
  return tokenize(
    "Hello! I am Sallyport's demo model: a script, not a language model, so the same request always " +
      `gets the same answer. You sent ${messages}; your last words were: "${excerpt(ask.lastUserText)}"`,
  );
}

/** Cuts by code point, so that an emoji at the edge stays whole. */
function excerpt(text: string): string {
  const points = Array.from(text.slice(0, 2 * ECHO_CHARACTERS + 2));
  return points.length > ECHO_CHARACTERS
    ? `${points.slice(0, ECHO_CHARACTERS).join('')}…`
    : points.join('');
}

function chooseTool(ask: Ask): Ask['tools'][number] | undefined {
  const choice = ask.toolChoice;
  if (typeof choice === 'object') return ask.tools.find((tool) => tool.name === choice.name);
  if (choice === 'must') return ask.tools[0];
  const asked = choice === 'auto' && !ask.afterToolResult;
  return asked && /use the tool/iu.test(ask.lastUserText) ? ask.tools[0] : undefined;
}

/** The smallest value that fits a JSON schema's types: required properties only. */
function exampleOf(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null) return {};
  const rules: Record<string, unknown> = { ...schema };
  if ('const' in rules) return rules['const'];
  if (Array.isArray(rules['enum']) && rules['enum'].length > 0) return rules['enum'][0];
  const type: unknown = Array.isArray(rules['type']) ? rules['type'][0] : rules['type'];
  if (type === 'string') return 'demo';
  if (type === 'number' || type === 'integer') return 1;
  if (type === 'boolean') return true;
  if (type === 'array') return [];
  if (type === 'null') return null;
  const properties: Record<string, unknown> = { ...(rules['properties'] as object | undefined) };
  const required: unknown[] = Array.isArray(rules['required']) ? rules['required'] : [];
  return Object.fromEntries(
    required.map((name) => [String(name), exampleOf(properties[String(name)])]),
  );
}

function firstStop(text: string, stops: string[]): { at: number; stop: string } | undefined {
  return stops
    .filter((stop) => stop !== '')
    .map((stop) => ({ at: text.indexOf(stop), stop }))
    .filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at)[0];
}

function keepCharacters(pieces: string[], characters: number): string[] {
  const kept: string[] = [];
  let left = characters;
  for (const piece of pieces) {
    if (left <= 0) break;
    kept.push(piece.slice(0, left));
    left -= piece.length;
  }
  return kept;
}

/** A reply that just fits is complete: `length` is said only when something was cut off. */
function limit(
  pieces: string[],
  end: Reply['end'],
  maxTokens: number | undefined,
): Omit<Reply, 'tool'> {
  if (maxTokens === undefined || pieces.length <= maxTokens) return { pieces, end };
  return { pieces: pieces.slice(0, maxTokens), end: 'length' };
}
