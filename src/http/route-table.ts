/** Every route there is, but those of OAuth (oauth-routes.ts), which speak another protocol. */
import type { Route } from './route.ts';
import { ASSERTION_ROUTES } from './routes/assertions.ts';
import { ENDPOINT_ROUTES } from './routes/endpoints.ts';
import { EXPORT_ROUTES } from './routes/exports.ts';
import { GRANT_ROUTES } from './routes/grants.ts';
import { HAND_BACK_ROUTES } from './routes/hand-back.ts';
import { INCIDENT_ROUTES } from './routes/incidents.ts';
import { INVITATION_ROUTES } from './routes/invitations.ts';
import { KEY_ROUTES } from './routes/keys.ts';
import { LAB_ROUTES } from './routes/labs.ts';
import { FORWARDING_ROUTES } from './routes/forwarding.ts';
import { LOG_ROUTES } from './routes/log.ts';
import { DUTY_ROUTES } from './routes/duties.ts';
import { NOTICE_ROUTES } from './routes/notices.ts';
import { ORDER_ROUTES } from './routes/orders.ts';
import { PEOPLE_ROUTES } from './routes/people.ts';
import { RECEIPT_ROUTES } from './routes/receipts.ts';
import { REPORT_ROUTES } from './routes/reports.ts';
import { RETENTION_ROUTES } from './routes/retention.ts';
import { RUN_ROUTES } from './routes/runs.ts';
import { STATEMENT_ROUTES } from './routes/statements.ts';
import { SYSTEM_ROUTES } from './routes/system.ts';
import { TOKEN_ROUTES } from './routes/tokens.ts';
import { WITNESS_ROUTES } from './routes/witnesses.ts';
import { TRANSCRIPT_ROUTES } from './routes/transcripts.ts';

export const ROUTES: readonly Route[] = [
  ...LAB_ROUTES,
  ...PEOPLE_ROUTES,
  ...INVITATION_ROUTES,
  ...HAND_BACK_ROUTES,
  ...ENDPOINT_ROUTES,
  ...GRANT_ROUTES,
  ...ORDER_ROUTES,
  ...DUTY_ROUTES,
  ...INCIDENT_ROUTES,
  ...NOTICE_ROUTES,
  ...TOKEN_ROUTES,
  ...RUN_ROUTES,
  ...ASSERTION_ROUTES,
  ...KEY_ROUTES,
  ...LOG_ROUTES,
  ...RECEIPT_ROUTES,
  ...STATEMENT_ROUTES,
  ...WITNESS_ROUTES,
  ...EXPORT_ROUTES,
  ...RETENTION_ROUTES,
  ...REPORT_ROUTES,
  ...TRANSCRIPT_ROUTES,
  ...FORWARDING_ROUTES,
  ...SYSTEM_ROUTES,
];
