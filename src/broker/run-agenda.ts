/** Has the store do what falls due. */
import { RefusedError } from '../core/denials.ts';
import type { AgendaItem } from '../store/agenda.ts';
import type { Broker } from './broker.ts';

/** Items of one commit. */
const AT_A_TIME = 64;

/**
 * Does everything that has fallen due, oldest first; what fails is put off and holds up nothing else. Called every second;
 * where nothing is due, it costs one lookup.
 */
export async function runAgenda(broker: Broker): Promise<void> {
  const { readers, clock } = broker;
  for (;;) {
    const due = readers.itemsDue(clock(), AT_A_TIME);
    if (due.length === 0) return;
    const done = await Promise.all(due.map((item) => doOne(broker, item)));
    if (!done.every(Boolean)) return;
  }
}

/** @returns whether it was done or put off; else the log cannot be written, and everything has to wait */
async function doOne(broker: Broker, item: AgendaItem): Promise<boolean> {
  const { store, clock, log } = broker;
  try {
    await store.write('doDue', { item, now: clock() });
    return true;
  } catch (error) {
    if (error instanceof RefusedError && error.refusal.code === 'log_unavailable') return false;
    const put = await putOff(broker, item);
    log.error({ ...item, ...put, err: String(error) }, 'what fell due failed, and is tried again');
    return put !== undefined;
  }
}

/** @returns undefined where it could not be put off, which is logged */
async function putOff(
  { store, clock, log }: Broker,
  item: AgendaItem,
): Promise<object | undefined> {
  try {
    return (await store.write('putOffDue', { item, now: clock() })) ?? {};
  } catch (error) {
    log.error({ ...item, err: String(error) }, 'what fell due could not be put off');
    return undefined;
  }
}
