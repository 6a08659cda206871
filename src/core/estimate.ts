/** Estimates of tokens: what a request may use at most, and what it will have used when nobody reports it. */

/** What chat templates put round each message, at most. */
const TOKENS_PER_MESSAGE = 16;

/** Tools are written into the prompt by the upstream with a preamble of its own. */
const TOKENS_FOR_TOOLS = 1_024;

/** An image or document given by reference costs more than its reference shows. */
const TOKENS_PER_MEDIA_PART = 32_768;

export interface InputSize {
  messages: number;
  tools: boolean;
  mediaParts: number;
}

/**
 * An upper bound of the input tokens of a request. Tokenisers of bytes never make more tokens than there
 * are bytes, so that what is reserved is not exceeded; most of it comes back when the request settles.
 *
 * @param bytes of the body as dispatched
 */
export function mostInputTokens({ messages, tools, mediaParts }: InputSize, bytes: number): number {
  return (
    bytes +
    messages * TOKENS_PER_MESSAGE +
    (tools ? TOKENS_FOR_TOOLS : 0) +
    mediaParts * TOKENS_PER_MEDIA_PART
  );
}

/** The likely number of tokens of so many bytes of text: about four bytes each. */
export function likelyTokens(bytes: number): number {
  return Math.ceil(bytes / 4);
}
