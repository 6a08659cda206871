/** Exporting a report on an incident with its evidence. */
import type { Readable } from 'node:stream';
import { manifestOf, reportBundle, type ReportFile } from '../audit/report-bundle.ts';
import { MOST_REPORT_ENTRIES } from '../audit/report-layout.ts';
import { refuse } from '../core/denials.ts';
import type { Incident } from '../core/incidents/incident.ts';
import { reportText } from '../core/incidents/report-text.ts';
import { htmlOfMarkdown } from '../core/reports/html-of-markdown.ts';
import { htmlPage } from '../core/reports/html-page.ts';
import { revisionOf } from '../core/revision.ts';
import { mintId } from '../lib/ids.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import { keyHistoryOf, logKeyOf } from './rotate-log-key.ts';
import { isPruned } from './retention.ts';
import { evidenceOf, type EvidencedOrder } from './incident-evidence.ts';
import { mustHaveReach } from './order-reach.ts';
import { mustSeeIncident } from './show-incidents.ts';

export interface IncidentExport {
  id: string;
  /** Entries of the log in it, beside the one that records the export. */
  entries: number;
  /** A tar, as it is read. */
  bundle: Readable;
}

/** How incidents and orders are shown in their files: as the API shows them. */
export interface Shown {
  incident: (incident: Incident, now: number) => object;
  order: (order: EvidencedOrder, now: number) => object;
}

/** Times that an incident may change under a report until it is given up. */
const ATTEMPTS = 5;

/**
 * Writes a report from what is on record, records the export with the digest of all its files, and streams both with
 * the proofs that its entries are in the log.
 */
export async function exportIncident(
  broker: Broker,
  actorId: string,
  incidentId: string,
  shown: Shown,
): Promise<IncidentExport> {
  await mustHaveReach(broker, actorId, 'incident.export', incidentId);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const made = await tryExport(broker, actorId, incidentId, shown);
    if (made) return made;
  }
  return refuse('stale_version', 'The incident changes as the report is written. Try again.');
}

/** @returns undefined where the incident has changed meanwhile */
async function tryExport(
  broker: Broker,
  actorId: string,
  incidentId: string,
  shown: Shown,
): Promise<IncidentExport | undefined> {
  const { store, readers, policy } = broker;
  await store.caughtUp();
  const incident = mustSeeIncident(broker, actorId, incidentId);
  const { orders, entries, isPartlyPruned } = await evidenceOf(broker, incident);
  if (entries.length > MOST_REPORT_ENTRIES)
    refuse(
      'incident_state',
      `It has ${entries.length} entries about it, and a report holds ${MOST_REPORT_ENTRIES}. Export the whole log: "sallyport audit export".`,
    );
  const who = by(broker, actorId);
  const id = mintId('exp', who.at);
  const text = reportText({
    incident,
    orders,
    entries,
    export: { id, at: who.at, by: actorId },
    origin: store.origin,
    archivedBefore:
      isPartlyPruned || isPruned(broker, incident.openedAt) ? readers.minimumIndex() : undefined,
    nameOf: (personId) => policy.person(personId)?.name,
  });
  const files: ReportFile[] = [
    { path: 'report.md', content: Buffer.from(text, 'utf8') },
    {
      path: 'report.html',
      content: Buffer.from(htmlPage(`Incident: ${incident.title}`, htmlOfMarkdown(text)), 'utf8'),
    },
    { path: 'incident.json', content: json(shown.incident(incident, who.at)) },
    ...orders.map((one) => ({
      path: `orders/${one.order.id}.json`,
      content: json(shown.order(one, who.at)),
    })),
  ];
  const indexes = entries.map(({ index }) => index);
  const about = {
    origin: store.origin,
    incident: incidentId,
    export: id,
    madeAt: new Date(who.at).toISOString(),
    keyHistory: keyHistoryOf(broker),
    entries: indexes,
  };
  const { manifest, sha256 } = manifestOf(about, files);
  const exported = await store.write('recordIncidentExport', {
    by: who,
    id,
    incidentId,
    revision: revisionOf(incident),
    manifestSha256: sha256,
  });
  if (!exported) return undefined;
  const bundle = reportBundle({
    manifest,
    files,
    entries: indexes,
    exportIndex: exported.index,
    checkpoint: exported.note,
    verifierKey: logKeyOf(broker, exported.size),
    tile: readers.readTile,
    entry: (index) => readers.readEntry(index)?.bytes,
  });
  return { id, entries: indexes.length, bundle };
}

const json = (value: object): Buffer => Buffer.from(`${JSON.stringify(value, null, 2)}\n`, 'utf8');
