/** Registers the route table with Express: who calls, what they sent, the handler, the answer. */
import type { Express, Request, Response } from 'express';
import type { z } from 'zod';
import { recordDenial } from '../broker/deny-action.ts';
import { DENIALS, RefusedError, refusal, refuse } from '../core/denials.ts';
import { authenticate } from './authenticate.ts';
import { goneOf } from './client-gone.ts';
import { ifMatchOf, toEtag } from './if-match.ts';
import { InvalidInputError, type FieldError } from './problem.ts';
import { rangeOf } from './range.ts';
import { bodyReader, hasBody, readJson } from './read-body.ts';
import type { Control, MediaReply, Method, Route } from './route.ts';
import { sendMedia } from './send-media.ts';

const MOST_BODY_BYTES = 1_048_576;

/** Serves every route of the table, and refuses other methods on its paths. */
export function serveRoutes(app: Express, control: Control, routes: readonly Route[]): void {
  const read = bodyReader(MOST_BODY_BYTES);
  const methodsOf = new Map<string, Method[]>();
  for (const route of routes) {
    const reads = route.text === undefined ? read : bodyReader(route.text);
    app[route.method](route.path, (req, res) => serve(control, route, reads, req, res));
    methodsOf.set(route.path, [...(methodsOf.get(route.path) ?? []), route.method]);
  }
  for (const [path, methods] of methodsOf) refuseOtherMethods(app, path, methods);
}

/** Answers 405 for what is left of a path. */
export function refuseOtherMethods(
  app: Express,
  path: string | RegExp,
  methods: readonly Method[],
): void {
  const allowed = methods.flatMap((method) => (method === 'get' ? ['GET', 'HEAD'] : [method]));
  app.all(path, (_req, res) => {
    res.setHeader('allow', allowed.join(', ').toUpperCase());
    refuse('method_not_allowed');
  });
}

type ReadBody = ReturnType<typeof bodyReader>;

async function serve(
  control: Control,
  route: Route,
  read: ReadBody,
  req: Request,
  res: Response,
): Promise<void> {
  const token = route.action === 'public' ? undefined : await authenticate(control, req);
  const actorId = token?.personId ?? '';
  const asked = await orRecord(control, route, actorId, res, async () => ({
    control,
    broker: control.broker,
    address: control.addressOf(req),
    actorId,
    tokenId: token?.id ?? '',
    params: parse('path', route.params, joined(req.params)),
    query: parse('query', route.query, req.query),
    body: await readInput(route, read, req, res),
    text: route.text === undefined ? '' : await read(req, res),
    range: rangeOf(req),
    lastEventId: req.get('last-event-id'),
    // Few ask for it.
    get gone() {
      return goneOf(res);
    },
    ifMatch: route.revised === true && route.method !== 'get' ? ifMatchOf(req) : undefined,
  }));
  // What a write refuses is recorded by the operation that refused it; a read has none.
  const reply =
    route.method === 'get'
      ? await orRecord(control, route, actorId, res, async () => route.handle(asked))
      : await route.handle(asked);
  await send(route, reply, res);
}

/** Puts a refusal of somebody we know on record before it is answered; one of anybody else is counted. */
async function orRecord<T>(
  { broker }: Control,
  { action }: Route,
  actorId: string,
  res: Response,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // A reason that lies with us is not a decision about the caller.
    if (error instanceof RefusedError && DENIALS[error.refusal.code].status < 500) {
      const { refusal: why } = error;
      if (action === 'public') broker.unauthenticated.count('control', why.code);
      else {
        // Names of unknown fields are the client's own words: not for the record.
        const recorded = error instanceof InvalidInputError ? refusal(why.code) : why;
        await recordDenial(broker, actorId, action, recorded, String(res.locals['requestId']));
      }
    }
    throw error;
  }
}

async function readInput(
  { body, text }: Route,
  read: ReadBody,
  req: Request,
  res: Response,
): Promise<unknown> {
  if (text !== undefined) return undefined;
  if (!hasBody(req)) return body && parse('body', body, {});
  if (!body) return refuse('invalid_request', 'This method takes no body here. Send none.');
  return parse('body', body, await readJson(read, req, res));
}

function parse(place: FieldError['in'], schema: z.ZodType, value: unknown): unknown {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new InvalidInputError(place, parsed.error);
  return parsed.data;
}

/** A wildcard's segments as one text. */
function joined(params: Request['params']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join('/') : value,
    ]),
  );
}

async function send(route: Route, reply: unknown, res: Response): Promise<void> {
  if ('json' in route.answer) {
    // Through the documented schema: what it does not name does not leave.
    const shown = route.answer.json.safeParse(reply);
    if (!shown.success)
      throw new Error(`${route.path} does not answer as documented.`, { cause: shown.error });
    if (route.revised) res.setHeader('etag', toEtag((shown.data as Revised).revision));
    res.status(route.status).json(shown.data);
    return;
  }
  await sendMedia(reply as MediaReply, route.answer.media, route.status, res);
}

/** What a route with revisions answers. */
interface Revised {
  revision: string;
}
