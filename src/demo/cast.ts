/** Who appears in the demo. The names are invented. */
import type { Role } from '../core/people.ts';

export const HOST_LAB = 'Northwall Labs';
export const PARTNER_LAB = 'Brightwater Research';

export interface CastMember {
  /** What the person is called in files and in the story. */
  part: 'admin' | 'safety' | 'deputy' | 'executive' | 'auditor' | 'lead' | 'researcher';
  name: string;
  lab: 'host' | 'partner';
  role: Role;
  /** What is known of them, for orders to be about. */
  attributes?: Record<string, string>;
}

/** The admin comes first: whoever sets the broker up. */
export const CAST: readonly [CastMember, ...CastMember[]] = [
  { part: 'admin', name: 'Ada Lindqvist', lab: 'host', role: 'admin' },
  { part: 'safety', name: 'Tomas Reyes', lab: 'host', role: 'safety' },
  { part: 'deputy', name: 'Ngozi Adeyemi', lab: 'host', role: 'safety' },
  { part: 'executive', name: 'Ruth Okafor', lab: 'host', role: 'executive' },
  { part: 'auditor', name: 'Mei Tanaka', lab: 'host', role: 'auditor' },
  {
    part: 'lead',
    name: 'Jonas Weber',
    lab: 'partner',
    role: 'lead',
    attributes: {
      employer: 'Brightwater Research',
      export_status: 'cleared',
      training: '2026-05-04',
    },
  },
  {
    part: 'researcher',
    name: 'Priya Nair',
    lab: 'partner',
    role: 'researcher',
    attributes: {
      employer: 'Harbour Contracting',
      export_status: 'restricted',
      training: '2026-05-11',
    },
  },
];
