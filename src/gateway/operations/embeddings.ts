/** `POST /v1/embeddings` */
import { inspectEmbeddings } from '../../core/scope/embeddings.ts';
import { isObject } from '../../core/scope/inspection.ts';
import { openai } from '../dialects/openai.ts';
import { countOf, noStream, type ProxiedOperation } from './operation.ts';

export const embeddings: ProxiedOperation = {
  name: 'embeddings',
  dialect: openai,
  path: '/v1/embeddings',
  query: {},
  charges: 'input',
  inspect: inspectEmbeddings,
  prepare: (body) => body,
  scanner: noStream,
  usageOf(answer) {
    const inputTokens = isObject(answer['usage'])
      ? countOf(answer['usage']['prompt_tokens'])
      : undefined;
    return inputTokens === undefined ? null : { inputTokens, outputTokens: 0 };
  },
};
