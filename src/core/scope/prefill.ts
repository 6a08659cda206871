/** The beginning of the answer, put in the model's mouth. */
import { isObject, type Findings } from './inspection.ts';

/**
 * Takes note of an assistant's message that the answer would follow: many upstreams continue it. What stands behind it
 * for the system is no turn in between; templates put that in front.
 */
export function notePrefill(messages: readonly unknown[], field: string, found: Findings): void {
  const last = messages.findLastIndex((message) => !isForSystem(message));
  const message = messages[last];
  if (isObject(message) && message['role'] === 'assistant')
    found.use('prefill', `${field}.${last}`);
}

function isForSystem(message: unknown): boolean {
  return isObject(message) && (message['role'] === 'system' || message['role'] === 'developer');
}
