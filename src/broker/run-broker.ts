/** What the broker does when it starts and stops, and says so in the log. */
import type { EntryKind, Json } from '../core/audit/entry.ts';
import { octetsOf } from '../core/base64url.ts';
import { mintId } from '../lib/ids.ts';
import type { Broker } from './broker.ts';
import { collectOrphans, whatIsKept } from './recover-transcripts.ts';

/** Requests closed in one transaction. */
const RECOVERED_AT_A_TIME = 256;

/**
 * Closes what a crash left open. Runs before anything is served: a request that was in flight when the
 * process died has an unknown outcome, and keeps its full reservation.
 */
export async function recoverFromCrash(broker: Broker): Promise<void> {
  const { store, clock, log } = broker;
  await collectOrphans(broker);
  let recovered = 0;
  for (let complete = false; !complete;) {
    const at = clock();
    const entryIds = Array.from({ length: RECOVERED_AT_A_TIME }, () => mintId('ent', at));
    const open = broker.readers.openRequestIds(RECOVERED_AT_A_TIME);
    const transcripts = Object.fromEntries(open.map((id) => [id, whatIsKept(broker, id)]));
    const args = { at, entryIds, transcripts };
    const step = await store.write('recoverUnfinished', args, { deadlineMs: 60_000 });
    recovered += step.recovered;
    complete = step.complete;
  }
  if (recovered === 0) return;
  log.warn({ recovered }, 'requests were in flight when the broker died; their outcome is unknown');
  await recordSystemEntry({ store, clock }, 'system.recovered', { requests: recovered });
}

/**
 * Says which keys of people older versions registered in a form that is refused now: whoever holds such a key
 * could register it once more, under another kid.
 */
export function warnOfStrayBits({ readers, log }: Broker): void {
  for (const { kid, personId, x } of readers.listPersonKeys()) {
    if (octetsOf(x)) continue;
    log.warn(
      { kid, personId },
      'this key of a person was registered with stray bits at its end, so that the same key could be registered under another kid, too: have them replace it ("sallyport person replace-key")',
    );
  }
}

/** Records that the broker started or stopped, and with which endpoints. */
export function recordSystem(
  broker: Broker,
  kind: Extract<EntryKind, 'system.started' | 'system.stopped'>,
): Promise<void> {
  const endpoints = [...broker.endpoints.values()].map(
    ({ id, models, safeguardsLifted, alternatives }) => ({
      id,
      models,
      safeguardsLifted: safeguardsLifted.map(({ safeguard }) => safeguard),
      putsBack: alternatives.map((one) => ({ restores: one.restores, models: one.models })),
    }),
  );
  const forward = broker.forwarding.receivers.map(({ id, type, kinds }) => ({
    id,
    type,
    ...(kinds ? { kinds: [...kinds] } : {}),
  }));
  return recordSystemEntry(
    broker,
    kind,
    kind === 'system.started'
      ? {
          issuer: broker.issuer,
          tokenKey: broker.signingKeys.active.kid,
          endpoints,
          // Where else the log is read from now on.
          ...(forward.length > 0 ? { forward } : {}),
          neverGrant: { ...broker.configured.excluded },
          ...(broker.store.journalWasMissing ? { journal: 'missing' } : {}),
        }
      : {},
  );
}

async function recordSystemEntry(
  { store, clock }: Pick<Broker, 'store' | 'clock'>,
  kind: EntryKind,
  data: Record<string, Json>,
): Promise<void> {
  const at = clock();
  await store.write('recordEntry', {
    entry: { id: mintId('ent', at), kind, at, actor: { system: 'broker' }, data },
  });
}
