/** Errors as RFC 9457 problem documents. */
import { z } from 'zod';
import { DENIALS, RefusedError, refusal, type DenialCode, type Refusal } from '../core/denials.ts';

/** Where in a request something is wrong, and what. Never the value itself: it may be a secret. */
export interface FieldError {
  in: 'path' | 'query' | 'body';
  path: string;
  message: string;
}

/** A request that its route's schemas do not accept. */
export class InvalidInputError extends RefusedError {
  readonly errors: FieldError[];

  constructor(place: FieldError['in'], error: z.ZodError) {
    const errors = error.issues.flatMap((issue) => fieldErrors(place, issue)).slice(0, MOST_ERRORS);
    const [first] = errors;
    const where =
      first && (first.path === '' ? `The ${first.in}` : `"${first.path}" (${first.in})`);
    super(refusal('invalid_request', first && `${where} ${first.message}.`));
    this.name = 'InvalidInputError';
    this.errors = errors;
  }
}

const MOST_ERRORS = 50;
const LONGEST_NAME = 100;

export const problemSchema = z
  .object({
    type: z.string().describe('urn:sallyport:problem:<code>'),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe('What is wrong and what to do'),
    code: z.enum(Object.keys(DENIALS) as [DenialCode, ...DenialCode[]]),
    param: z.string().optional().describe('The field that it is about'),
    orders: z.array(z.string()).optional().describe('The orders that cause it'),
    errors: z
      .array(
        z.object({
          in: z.enum(['path', 'query', 'body']),
          path: z.string(),
          message: z.string(),
        }),
      )
      .optional(),
    requestId: z.string(),
  })
  .describe('RFC 9457');

export type Problem = z.infer<typeof problemSchema>;

/** The problem document of a refusal. */
export function problemOf(error: RefusedError, requestId: string): Problem {
  const { code, message, param, orders } = error.refusal;
  return {
    type: `urn:sallyport:problem:${code}`,
    title: titleOf(code),
    status: DENIALS[code].status,
    detail: message,
    code,
    ...(param === undefined ? {} : { param }),
    ...(orders === undefined ? {} : { orders }),
    ...(error instanceof InvalidInputError ? { errors: error.errors } : {}),
    requestId,
  };
}

/** Seconds for `Retry-After`, or undefined where trying again does not help. */
export function retryAfterSeconds({ code, retryAfterMs }: Refusal): number | undefined {
  const { status } = DENIALS[code];
  if (status === 503) return 1;
  if (status === 429) return Math.min(60, Math.max(1, Math.ceil((retryAfterMs ?? 1000) / 1000)));
  return undefined;
}

function titleOf(code: DenialCode): string {
  const words = code.replaceAll('_', ' ').replace('json', 'JSON');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function fieldErrors(place: FieldError['in'], issue: z.core.$ZodIssue): FieldError[] {
  const at = (path: readonly PropertyKey[], message: string): FieldError => ({
    in: place,
    path: path.map((part) => String(part).slice(0, LONGEST_NAME)).join('.'),
    message,
  });
  if (issue.code === 'unrecognized_keys') {
    const what = place === 'query' ? 'is not a parameter of this path' : 'is not a known field';
    return issue.keys.map((key) => at([...issue.path, key], what));
  }
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined'))
    return [at(issue.path, `is missing; it takes: ${issue.expected}`)];
  if (issue.code === 'invalid_key')
    return [at(issue.path, `is not a valid name: ${issue.issues[0]?.message ?? issue.message}`)];
  return [at(issue.path, lowerFirst(issue.message))];
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
