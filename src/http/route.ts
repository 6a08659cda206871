/**
 * A route of the control API as data. Express's registration (serve-routes.ts) and the OpenAPI document
 * (openapi.ts) are both made from it, so that they cannot disagree.
 */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import type { TokenChecker } from '../broker/authenticate-token.ts';
import type { Broker } from '../broker/broker.ts';
import type { Action } from '../core/authority.ts';
import type { AskedRange } from './range.ts';

/** What the handlers work with. */
export interface Control {
  broker: Broker;
  tokens: TokenChecker;
  /** The broker's origin as clients see it, without a slash at its end. */
  publicUrl: string;
  /** For how long others may keep our key set. */
  jwksMaxAgeSeconds: number;
  /** Address of the client, seen through trusted proxies. */
  addressOf(req: IncomingMessage): string;
  /** The OpenAPI document of all routes. */
  openApiDocument(): object;
}

export type Method = 'get' | 'post' | 'put' | 'delete';

/** What a handler gets: everything in it has passed the route's schemas. */
interface Asked<P, Q, B> {
  control: Control;
  broker: Broker;
  /** Of the caller, seen through trusted proxies. */
  address: string;
  params: P;
  query: Q;
  body: B;
  /** The body of a route that takes text; else empty. */
  text: string;
  /** The part of the answer that is asked for, where one is. */
  range: AskedRange | undefined;
  /** What a client that follows events heard last (Last-Event-ID), as it was sent. */
  lastEventId: string | undefined;
  /** Aborts when the client goes away: for work that is worth ending then. */
  gone: AbortSignal;
  /** Of a route of what has revisions: those that may be changed; undefined: whichever there is. */
  ifMatch: readonly string[] | undefined;
}

/** A request whose caller has shown who they are. */
interface AskedBy<P, Q, B> extends Asked<P, Q, B> {
  actorId: string;
  /** Id of the token that they showed. */
  tokenId: string;
}

/** An answer that is not JSON. */
export interface MediaReply {
  status?: number;
  headers?: Record<string, string>;
  body: string | Buffer | Readable;
  /** Whether a whole body gets an ETag, and a client that has it already is told so. */
  revalidates?: boolean;
  /** Whether a whole body is compressed for clients that take it so. */
  compressible?: boolean;
}

/** No parameters, no query, no body: anything that is sent all the same is refused by name. */
const NOTHING = z.strictObject({});
type Nothing = typeof NOTHING;

interface Described {
  method: Method;
  /** In Express's notation. */
  path: string;
  /** Under which heading the documentation lists it. */
  tag: string;
  summary: string;
  description: string;
  /** Its body is text in UTF-8 of at most so many bytes, and not JSON. */
  text?: number;
  /** Whether what it answers has a `revision`: it is sent as ETag, and what changes it heeds If-Match. */
  revised?: boolean;
}

export interface Route extends Described {
  /** What the caller must be allowed to do; 'public' takes no token. */
  action: Action | 'public';
  params: z.ZodObject;
  query: z.ZodObject;
  /** Absent where a body is refused. */
  body: z.ZodType | undefined;
  status: 200 | 201;
  answer: { json: z.ZodType } | { media: string };
  handle: (asked: AskedBy<unknown, unknown, unknown>) => unknown;
}

interface Declared<
  A extends Action | 'public',
  P extends z.ZodObject,
  Q extends z.ZodObject,
  B extends z.ZodType,
> extends Described {
  action: A;
  params?: P;
  query?: Q;
  body?: B;
  status?: 200 | 201;
}

type AskedOf<
  A extends Action | 'public',
  P extends z.ZodObject,
  Q extends z.ZodObject,
  B extends z.ZodType,
> = A extends 'public'
  ? Asked<z.output<P>, z.output<Q>, z.output<B>>
  : AskedBy<z.output<P>, z.output<Q>, z.output<B>>;

/** Declares a route that answers JSON. Nothing leaves but what `answer` names. */
export function route<
  A extends Action | 'public',
  R extends z.ZodType,
  P extends z.ZodObject = Nothing,
  Q extends z.ZodObject = Nothing,
  B extends z.ZodType = Nothing,
>(
  declared: Declared<A, P, Q, B> & {
    answer: R;
    handle: (asked: AskedOf<A, P, Q, B>) => z.input<R> | Promise<z.input<R>>;
  },
): Route {
  const { answer, handle, ...rest } = declared;
  return { ...complete(rest), answer: { json: answer }, handle: handle as Route['handle'] };
}

/** Declares a route that answers something other than JSON. */
export function mediaRoute<
  A extends Action | 'public',
  P extends z.ZodObject = Nothing,
  Q extends z.ZodObject = Nothing,
  B extends z.ZodType = Nothing,
>(
  declared: Declared<A, P, Q, B> & {
    media: string;
    handle: (asked: AskedOf<A, P, Q, B>) => MediaReply | Promise<MediaReply>;
  },
): Route {
  const { media, handle, ...rest } = declared;
  return { ...complete(rest), answer: { media }, handle: handle as Route['handle'] };
}

function complete(
  declared: Declared<Action | 'public', z.ZodObject, z.ZodObject, z.ZodType>,
): Omit<Route, 'answer' | 'handle'> {
  const { params = NOTHING, query = NOTHING, status = 200, body, ...rest } = declared;
  const takesBody = rest.text === undefined && (rest.method === 'post' || rest.method === 'put');
  return { ...rest, params, query, status, body: takesBody ? (body ?? NOTHING) : undefined };
}
