/** `POST /v1/chat/completions` */
import { inspectChatCompletions } from '../../core/scope/chat-completions.ts';
import type { JsonObject } from '../../core/scope/inspection.ts';
import { openai } from '../dialects/openai.ts';
import { askForUsage, chunkScanner, chunkUsage } from './chunk-stream.ts';
import type { ProxiedOperation } from './operation.ts';

export const chatCompletions: ProxiedOperation = {
  name: 'chat.completions',
  dialect: openai,
  path: '/v1/chat/completions',
  query: {},
  charges: 'input and output',
  inspect: inspectChatCompletions,
  prepare(body, { maxOutputTokens, maxOutputTokensField }) {
    const prepared: JsonObject = { ...body };
    if ((body['max_tokens'] ?? body['max_completion_tokens'] ?? null) === null) {
      delete prepared['max_tokens'];
      delete prepared['max_completion_tokens'];
      prepared[maxOutputTokensField] = maxOutputTokens;
    }
    askForUsage(prepared);
    return prepared;
  },
  scanner: chunkScanner,
  usageOf: chunkUsage,
};
