/** Paths of both vendors that this broker knows and does not offer: refused by name, and nothing is forwarded. */
import { refusal, type Refusal } from '../../core/denials.ts';

/** Each with all that lies below it, or with that alone (`/*`); and what to do instead, where there is something. */
const NOT_OFFERED: Record<string, string> = {
  '/v1/messages/batches': 'Message batches are not offered. Send each message to /v1/messages.',
  '/v1/batches': 'Batches are not offered. Send each request by itself.',
  '/v1/chat/completions/*': 'Stored completions are not offered.',
  '/v1/responses/*': 'Stored responses are not offered. Send the conversation along each time.',
  '/v1/conversations': 'Conversations that the upstream keeps are not offered.',
  '/v1/assistants': 'Assistants are not offered.',
  '/v1/threads': 'Threads are not offered.',
  '/v1/files': 'Files are not offered. Send what is to be read in the request itself.',
  '/v1/uploads': 'Uploads are not offered. Send what is to be read in the request itself.',
  '/v1/vector_stores': 'Vector stores are not offered.',
  '/v1/containers': 'Containers are not offered.',
  '/v1/skills': 'Skills are not offered.',
  '/v1/fine_tuning': 'Fine-tuning is not offered.',
  '/v1/evals': 'Evals that the upstream runs are not offered.',
  '/v1/images': 'Images as output are not offered.',
  '/v1/videos': 'Videos are not offered.',
  '/v1/audio': 'Speech and transcription are not offered.',
  '/v1/moderations': 'Moderations are not offered.',
  '/v1/realtime': 'Realtime sessions are not offered.',
  '/v1/chatkit': 'ChatKit is not offered.',
  '/v1/complete': 'Text completions in the Anthropic dialect are not offered. Use /v1/messages.',
  '/v1/agents': 'Agents that the upstream runs are not offered.',
  '/v1/sessions': 'Sessions of agents that the upstream runs are not offered.',
  '/v1/environments': 'Environments are not offered.',
  '/v1/memory_stores': 'Memory stores are not offered.',
  '/v1/vaults': 'Vaults are not offered.',
  '/v1/organization': "The administration of the host's account is not offered.",
  '/v1/organizations': "The administration of the host's account is not offered.",
};

/** One that is refused: as which path it goes on record, and why. */
export interface NotOffered {
  route: string;
  why: Refusal;
}

/** What no vendor writes is no path of theirs: percent signs, dots, empty parts. */
const PLAIN = /^(?:\/[\w-]+)+$/;

/** @returns undefined for a path that this broker offers, or does not know at all */
export function notOffered(path: string): NotOffered | undefined {
  if (!PLAIN.test(path)) return undefined;
  const route = Object.keys(NOT_OFFERED).find((known) => covers(known, path));
  if (route === undefined) return undefined;
  return { route, why: refusal('not_supported', NOT_OFFERED[route]) };
}

function covers(route: string, path: string): boolean {
  if (!route.endsWith('/*')) return path === route || path.startsWith(`${route}/`);
  const above = route.slice(0, -1);
  return path.startsWith(above) && path !== above;
}
