/** Every operation that is proxied, by its path. */
import { chatCompletions } from './chat-completions.ts';
import { completions } from './completions.ts';
import { countTokens } from './count-tokens.ts';
import { embeddings } from './embeddings.ts';
import { messages } from './messages.ts';
import type { ProxiedOperation } from './operation.ts';
import { responses } from './responses.ts';

export const OPERATIONS: ReadonlyMap<string, ProxiedOperation> = new Map(
  [chatCompletions, responses, completions, embeddings, messages, countTokens].map((operation) => [
    operation.path,
    operation,
  ]),
);
