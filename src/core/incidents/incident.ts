/** Incidents: orders, findings and entries of the log that belong together, and the clock that runs over them. */
import { z } from 'zod';
import type { AuthorityRules } from '../authority-rules.ts';
import { evidenceSchema } from '../orders/order.ts';
import { proseSchema } from '../people.ts';
import { idSchema } from '../ids.ts';
import { instantSchema } from '../instants.ts';

export const INCIDENT_STATES = ['open', 'reported', 'resolved', 'closed'] as const;

/** `open`: not reported yet; `reported`: the first report went out; `closed`: resolved, and the final report went out. */
export type IncidentState = (typeof INCIDENT_STATES)[number];

export const REPORT_KINDS = ['initial', 'update', 'final'] as const;
export type ReportKind = (typeof REPORT_KINDS)[number];

/** Most of each that one incident holds. */
export const MOST_PARTS = 1_000;

/** A report or its recipients have to fit into an entry of the log, however their characters are escaped. */
const MOST_REPORT_BYTES = 36_000;

const harmNameSchema = z.string().regex(/^[a-z][a-z_]{0,39}$/, 'must be a name of a-z and _');
const sha256Schema = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in 64 hex digits, lower case');
const unique = (list: readonly string[]): boolean => new Set(list).size === list.length;

const harmsSchema = z
  .array(harmNameSchema)
  .min(1, 'must name at least one kind of harm')
  .max(16)
  .refine(unique, 'must not name a kind of harm twice')
  .describe('Kinds of harm, of those that the rules name; the shortest deadline of them counts');

const titleSchema = z.string().trim().min(1).max(200);

/** The index of an entry of the log. */
const indexSchema = z.int().min(0);

export const incidentSpecSchema = z.strictObject({
  title: titleSchema.describe('What it is called'),
  description: proseSchema.optional().describe('What happened, as far as it is known'),
  harms: harmsSchema,
  awareAt: instantSchema
    .optional()
    .describe('When the host became aware of it: the clock runs from there. Left out: now'),
  orders: z
    .array(idSchema('ord'))
    .max(100)
    .refine(unique, 'must not name an order twice')
    .default([])
    .describe('Orders that belong to it'),
  entries: z
    .array(indexSchema)
    .max(100)
    .refine((list) => new Set(list).size === list.length, 'must not name an entry twice')
    .default([])
    .describe('Indexes of entries of the log that belong to it'),
});

export type IncidentSpec = z.output<typeof incidentSpecSchema>;

export const correctionSchema = z
  .strictObject({
    awareAt: instantSchema.optional().describe('An earlier moment of awareness'),
    addHarms: harmsSchema.optional().describe('Kinds of harm that come to those it has'),
    title: titleSchema.optional(),
    description: proseSchema.optional(),
    grounds: proseSchema.describe('Why; kept in the record'),
  })
  .refine(
    ({ awareAt, addHarms, title, description }) =>
      [awareAt, addHarms, title, description].some((value) => value !== undefined),
    'must change something',
  );

/** One thing that belongs to an incident: an order, or an entry of the log. */
export const linkTargetSchema = z
  .strictObject({
    order: idSchema('ord').optional(),
    entry: indexSchema.optional().describe('Index of an entry of the log'),
  })
  .refine(
    ({ order, entry }) => (order === undefined) !== (entry === undefined),
    'must name an order or an entry, one of them',
  );

export type LinkTarget = z.output<typeof linkTargetSchema>;

export const findingSchema = z.strictObject({
  text: proseSchema.describe('What was found'),
  evidence: evidenceSchema.shape.class,
  reference: z
    .string()
    .trim()
    .min(1)
    .max(500)
    .optional()
    .describe('Where it is: an address, a ticket, a file'),
  sha256: sha256Schema.optional().describe('Of the document or data it rests on'),
});

export const reportSchema = z.strictObject({
  kind: z.enum(REPORT_KINDS).describe('The first one, an update, or the final one'),
  text: z
    .string()
    .trim()
    .min(1)
    .max(20_000)
    .refine(
      (text) => Buffer.byteLength(JSON.stringify(text)) <= MOST_REPORT_BYTES,
      `must not take more than ${MOST_REPORT_BYTES} bytes: give the rest as a document with its SHA-256`,
    )
    .describe('What was reported'),
  to: z
    .array(z.string().trim().min(1).max(200))
    .min(1, 'must name whom it was sent to')
    .max(20)
    .refine(unique, 'must not name a recipient twice')
    .describe('Whom it was sent to'),
  sentAt: instantSchema.optional().describe('When it was sent. Left out: now'),
  sha256: sha256Schema.optional().describe('Of the document that was sent'),
});

export type ReportInput = z.output<typeof reportSchema>;

/** Who did something, and when that was recorded; epoch milliseconds. */
export interface Done {
  by: string;
  at: number;
}

interface IncidentLink extends Done {
  order?: string | undefined;
  entry?: number | undefined;
  comment: string | null;
  /** Set when it turned out not to belong here. It is shown all the same. */
  removed: (Done & { grounds: string }) | null;
}

export interface IncidentFinding extends Done, z.output<typeof findingSchema> {
  /** Its number within the incident, from 1. */
  n: number;
}

interface IncidentReport extends Done {
  n: number;
  kind: ReportKind;
  text: string;
  to: string[];
  sentAt: number;
  sha256?: string | undefined;
}

/** What was corrected: of a text only that it was, since the log has both. */
interface Correction extends Done {
  grounds: string;
  /** The moment of awareness that was moved; null: it was not. */
  awareBefore: number | null;
  addedHarms: string[];
}

export interface Resolution extends Done {
  resolvedAt: number;
  text: string;
  /** Number of its final report. */
  finalReport: number | null;
  reopened: (Done & { grounds: string }) | null;
}

/** A kind of harm with the time to the first report that stood for it in the rules when it was recorded. */
export interface Harm {
  kind: string;
  within: string;
}

export interface Incident {
  id: string;
  title: string;
  description: string | null;
  harms: Harm[];
  /** The spans of the clock, frozen when the incident was opened. */
  updateEvery: string;
  finalReportWithin: string;
  awareAt: number;
  openedBy: string;
  openedAt: number;
  corrections: Correction[];
  links: IncidentLink[];
  findings: IncidentFinding[];
  /** In the order in which they were sent. */
  reports: IncidentReport[];
  resolutions: Resolution[];
  /** Deadlines that were recorded as overdue. */
  overdue: { kind: ReportKind; dueAt: number; at: number }[];
}

/** The resolution that stands: the last one, unless it was reopened. */
export function standingResolution({ resolutions }: Incident): Resolution | undefined {
  const last = resolutions.at(-1);
  return last?.reopened === null ? last : undefined;
}

/** What was done brings an incident to its state; no moment does. */
export function stateOf(incident: Incident): IncidentState {
  const resolution = standingResolution(incident);
  if (resolution) return resolution.finalReport === null ? 'resolved' : 'closed';
  return incident.reports.length === 0 ? 'open' : 'reported';
}

/**
 * Kinds of harm as the rules have them now.
 *
 * @returns the names that the rules do not know, where there are any
 */
export function harmsByRules(
  kinds: readonly string[],
  { reportWithin }: AuthorityRules['incidents'],
): Harm[] | { unknown: string[] } {
  const unknown = kinds.filter((kind) => !Object.hasOwn(reportWithin, kind));
  if (unknown.length > 0) return { unknown };
  return kinds.map((kind) => ({ kind, within: reportWithin[kind] as string }));
}

/** The words for what belongs to an incident. */
export const targetInWords = ({ order, entry }: LinkTarget): string =>
  order === undefined ? `entry ${entry}` : `order ${order}`;

/** Whether a link is to this. */
export const isLinkTo = (link: LinkTarget, target: LinkTarget): boolean =>
  link.order === target.order && link.entry === target.entry;
