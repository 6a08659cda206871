/** `POST /v1/messages/count_tokens`: counts what a message would have as input. Nothing is generated. */
import { inspectCountTokens } from '../../core/scope/count-tokens.ts';
import { anthropic } from '../dialects/anthropic.ts';
import { noStream, type ProxiedOperation } from './operation.ts';

export const countTokens: ProxiedOperation = {
  name: 'messages.count_tokens',
  dialect: anthropic,
  path: '/v1/messages/count_tokens',
  query: { beta: 'true' },
  // What the vendor's SDKs send from their beta half, whatever they count.
  betas: ['token-counting-2024-11-01'],
  charges: 'nothing',
  inspect: inspectCountTokens,
  prepare: (body) => body,
  scanner: noStream,
  // The answer tells what a message would use. The count itself uses nothing.
  usageOf: () => ({ inputTokens: 0, outputTokens: 0 }),
};
