/**
 * Entries as events of the Open Cybersecurity Schema Framework, version 1.8: class API Activity (6003) with the profiles
 * `ai_operation` and `security_control`. What has no place there stands in `unmapped`, so that nothing is lost.
 */
import { objectIn, type RawEntry } from './raw-entry.ts';

const OCSF_VERSION = '1.8.0';
const CLASS_UID = 6003;

/** Activities of the class. */
const ACTIVITY = { Create: 1, Read: 2, Update: 3, Delete: 4, Other: 99 } as const;
type Activity = keyof typeof ACTIVITY;

/** Which of them the last word of a kind tells; of all others, that something changed. */
const BY_LAST_WORD: Record<string, Activity> = {
  created: 'Create',
  issued: 'Create',
  opened: 'Create',
  invited: 'Create',
  joined: 'Create',
  begun: 'Create',
  key_added: 'Create',
  initialised: 'Create',
  read: 'Read',
  exported: 'Read',
  export_resumed: 'Read',
  export_completed: 'Read',
  reported: 'Read',
  removed: 'Delete',
  key_removed: 'Delete',
  identity_removed: 'Delete',
  revoked: 'Delete',
  retired: 'Delete',
  withdrawn: 'Delete',
  ended: 'Delete',
  lifted: 'Delete',
  lapsed: 'Delete',
  expired: 'Delete',
  closed: 'Delete',
  handed_back: 'Delete',
};

/** Paths of the operations that are proxied. */
const PATHS: Record<string, string> = {
  'chat.completions': '/v1/chat/completions',
  completions: '/v1/completions',
  responses: '/v1/responses',
  embeddings: '/v1/embeddings',
  messages: '/v1/messages',
  'messages.count_tokens': '/v1/messages/count_tokens',
  models: '/v1/models',
};

/** Ends of a request that are no failure of anybody's. */
const ENDED_WELL = new Set(['completed', 'client_gone']);

const INFORMATIONAL = 1;
const LOW = 2;

const STATUS = { unknown: 0, success: 1, failure: 2 } as const;
const ALLOWED = { action_id: 1, action: 'Allowed', disposition_id: 1, disposition: 'Allowed' };
const DENIED = { action_id: 2, action: 'Denied', disposition_id: 2, disposition: 'Blocked' };

/** An event, as JSON. The same entry gives the same event. */
export function ocsfEvent(entry: RawEntry): Record<string, unknown> {
  const { data = {}, kind, decision, reason } = entry;
  const activity = activityOf(kind);
  const isDenied = decision === 'denied';
  const status = statusOf(entry, data);
  const http = httpOf(entry, data);
  const model = modelOf(entry, data);
  return {
    category_uid: 6,
    category_name: 'Application Activity',
    class_uid: CLASS_UID,
    class_name: 'API Activity',
    activity_id: ACTIVITY[activity],
    activity_name: activity === 'Other' ? kind : activity,
    type_uid: CLASS_UID * 100 + ACTIVITY[activity],
    type_name: `API Activity: ${activity}`,
    severity_id: isDenied || status === STATUS.failure ? LOW : INFORMATIONAL,
    time: Date.parse(entry.at),
    status_id: status,
    status_code: reason,
    status_detail: detailOf(entry),
    message: text(data['message']),
    duration: whole(data['durationMs']),
    ...(decision === undefined ? {} : isDenied ? DENIED : ALLOWED),
    metadata: {
      version: OCSF_VERSION,
      product: { name: 'Sallyport', vendor_name: 'Sallyport' },
      profiles: ['ai_operation', 'security_control'],
      log_name: entry.log,
      log_version: String(entry.v),
      sequence: entry.index,
      uid: entry.id,
      event_code: kind,
      correlation_uid: entry.ref,
      tenant_uid: entry.host,
      original_time: entry.at,
      logged_time: Date.parse(entry.committedAt),
    },
    actor: actorOf(entry),
    api: apiOf(entry),
    src_endpoint: sourceOf(entry, data),
    ...http,
    ...model,
    unmapped: unmappedOf(entry, data, { ...http, ...model }),
  };
}

function activityOf(kind: string): Activity {
  const [group, last = ''] = kind.split('.');
  // Requests are invocations, which the class has no activity of; the system's entries are nobody's call.
  if (group === 'request' || group === 'system') return 'Other';
  return BY_LAST_WORD[last] ?? 'Update';
}

function statusOf({ decision, reason }: RawEntry, data: Record<string, unknown>): number {
  const { end } = data;
  if (end === 'unknown') return STATUS.unknown;
  if (typeof end === 'string') return ENDED_WELL.has(end) ? STATUS.success : STATUS.failure;
  return decision === 'denied' || reason !== undefined ? STATUS.failure : STATUS.success;
}

function detailOf({ reason, orders = [], data = {} }: RawEntry): string | undefined {
  const parts = [reason, text(data['end']), ...orders];
  const said = parts.filter((part) => part !== undefined);
  return said.length === 0 ? undefined : said.join(' ');
}

function actorOf({ actor, lab, person, grant, grantVersion, decision, run }: RawEntry): object {
  if (actor.person === undefined)
    return { app_name: 'sallyport', app_uid: actor.system ?? 'broker' };
  const policy = grant === undefined ? undefined : { uid: grant, version: version(grantVersion) };
  return {
    user: {
      uid: actor.person,
      type_id: person === undefined || person === actor.person ? 1 : 0,
      groups: actor.roles?.map((role) => ({ name: role })),
      org: { uid: actor.lab ?? lab },
    },
    session: run === undefined ? undefined : { uid: run },
    authorizations: policy && [{ decision, policy }],
  };
}

const version = (value: number | undefined): string | undefined =>
  value === undefined ? undefined : String(value);

const apiOf = ({ operation, kind, token, endpoint }: RawEntry): object => ({
  operation: operation ?? kind,
  service: endpoint === undefined ? undefined : { name: endpoint },
  token: token === undefined ? undefined : { uid: token, type_id: 99, type: 'access token' },
});

/** Addresses are not kept unless a watch records them: then it is the lab that a call came from. */
function sourceOf({ actor }: RawEntry, { address }: Record<string, unknown>): object {
  return typeof address === 'string' ? { ip: address } : { name: actor.lab ?? 'sallyport' };
}

/** Parts of an event that are there for some entries. */
interface Placed {
  http_request?: object;
  http_response?: object | undefined;
  ai_model?: object;
  message_context?: object | undefined;
}

function httpOf({ operation, kind, ref }: RawEntry, data: Record<string, unknown>): Placed {
  const path = operation === undefined ? undefined : PATHS[operation];
  if (path === undefined || !kind.startsWith('request.')) return {};
  const code = whole(data['upstreamStatus']);
  const http_method = operation === 'models' ? 'GET' : 'POST';
  return {
    http_request: { http_method, url: { path }, uid: ref, length: whole(data['requestBytes']) },
    http_response:
      code === undefined
        ? undefined
        : { code, length: whole(data['responseBytes']), latency: whole(data['durationMs']) },
  };
}

function modelOf({ model, endpoint }: RawEntry, data: Record<string, unknown>): Placed {
  if (model === undefined) return {};
  const name = endpoint ?? 'sallyport';
  const { inputTokens, outputTokens } = objectIn(data, 'usage');
  const [prompt, completion] = [whole(inputTokens), whole(outputTokens)];
  return {
    ai_model: { name: model, ai_provider: name },
    message_context:
      prompt === undefined || completion === undefined
        ? undefined
        : {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt + completion,
            service: { name },
          },
  };
}

/** What has no place in the class, or has none in this event. */
function unmappedOf(entry: RawEntry, data: Record<string, unknown>, event: Placed): object {
  const { usage } = data;
  const { source, inputTokens, outputTokens, ...counts } = objectIn(data, 'usage');
  const hasCounts = event.message_context !== undefined;
  const unplaced = hasCounts ? counts : { inputTokens, outputTokens, ...counts };
  const own = {
    kind: entry.kind,
    lab: entry.lab,
    person: entry.person,
    purpose: entry.purpose,
    run: entry.run,
    orders: entry.orders,
    usageSource: source,
    // Of what the broker did by itself, nobody was authorised.
    ...(entry.actor.person === undefined
      ? { grant: entry.grant, grantVersion: entry.grantVersion, actor: entry.actor }
      : {
          actorSystem: entry.actor.system,
          ...(entry.grant === undefined && { grantVersion: entry.grantVersion }),
        }),
  };
  const hasResponse = event.http_response !== undefined;
  const isPlaced: Record<string, boolean> = {
    usage: isObject(usage) && Object.values(unplaced).every((value) => value === undefined),
    upstreamStatus: hasResponse && whole(data['upstreamStatus']) !== undefined,
    responseBytes: hasResponse && whole(data['responseBytes']) !== undefined,
    durationMs: whole(data['durationMs']) !== undefined,
    address: text(data['address']) !== undefined,
    message: text(data['message']) !== undefined,
  };
  const rest = Object.entries(data)
    .filter(([name]) => isPlaced[name] !== true)
    .map(
      ([name, value]) => [name, name === 'usage' && isObject(usage) ? unplaced : value] as const,
    );
  // A member of the data that is called as one of the entry's own takes nothing's place.
  const isTaken = ([name]: readonly [string, unknown]): boolean =>
    Object.hasOwn(own, name) || name === 'data';
  const taken = rest.filter(isTaken);
  return {
    ...own,
    ...Object.fromEntries(rest.filter((member) => !isTaken(member))),
    ...(taken.length === 0 ? {} : { data: Object.fromEntries(taken) }),
  };
}

const isObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const text = (value: unknown): string | undefined =>
  typeof value === 'string' ? value : undefined;
const whole = (value: unknown): number | undefined =>
  Number.isSafeInteger(value) ? (value as number) : undefined;
