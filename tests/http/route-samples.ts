/** For each route that takes a token, a request that is well formed and names nothing that exists. */
import { ROUTES } from '../../src/http/route-table.ts';
import type { Route } from '../../src/http/route.ts';
import { grantInput } from '../support/grants.ts';
import { makeKey, type People } from '../support/people.ts';

const nothing = '0'.repeat(26);
export const NO_GRANT = `grt_${nothing}`;
const NO_ORDER = `ord_${nothing}`;
const NO_TOKEN = `tok_${nothing}`;
const NO_RUN = `run_${nothing}`;
const NO_PERSON = `per_${nothing}`;
/** A broker that the configuration lists for assertions; where it does not, they are refused as such. */
export const SAMPLE_AUDIENCE = 'https://broker.example';
const NO_LAB = `lab_${nothing}`;
const NO_INVITATION = `inv_${nothing}`;

const PARAMS: Record<string, string> = {
  lab: NO_LAB,
  person: NO_PERSON,
  grant: NO_GRANT,
  order: NO_ORDER,
  notice: `ntc_${nothing}`,
  duty: `dty_${nothing}`,
  token: NO_TOKEN,
  invitation: NO_INVITATION,
  run: NO_RUN,
  dispute: `dsp_${nothing}`,
  incident: `inc_${nothing}`,
  export: `exp_${nothing}`,
  endpoint: 'none',
  kid: 'a'.repeat(43),
  index: '999999',
  receipt: `req_${nothing}`,
  request: `req_${nothing}`,
  part: 'request',
};

/** Of routes that cannot do without. */
const QUERIES: Record<string, string> = {
  '/api/v1/log/receipts': `?requests=req_${nothing}`,
  // What is followed has no end of its own.
  '/api/v1/log/tail': '?seconds=0',
};

export interface Sample {
  route: Route;
  /** As in the table, to tell which it was. */
  name: string;
  path: string;
  body: object | undefined;
}

/** Every route of the table that is not public. */
export const PROTECTED = ROUTES.filter((route) => route.action !== 'public');

/** A well-formed request to a route. */
export function sampleOf(route: Route, people: People): Sample {
  const name = `${route.method} ${route.path}`;
  const path = route.path
    .replaceAll('*tile', '999')
    .replaceAll(/:([a-z]+)/g, (_all, part: string) => {
      const value = PARAMS[part];
      if (value === undefined) throw new Error(`${name}: what is a sample of "${part}"?`);
      return value;
    });
  const query = QUERIES[route.path] ?? '';
  return { route, name, path: `${path}${query}`, body: bodyOf(route, people) };
}

let made = 0;

function bodyOf({ method, path }: Route, people: People): object | undefined {
  if (method === 'get' || method === 'delete') return undefined;
  made += 1;
  const publicKey = makeKey().publicKey;
  switch (path) {
    case '/api/v1/labs':
      return { name: `Sample lab ${made}`, kind: 'partner' };
    case '/api/v1/people':
      return { lab: people.partner.id, name: `Sample ${made}`, roles: ['researcher'], publicKey };
    case '/api/v1/labs/:lab/identity':
      return { issuer: `https://sample-${made}.example`, jwks: { keys: [publicKey] } };
    case '/api/v1/exports':
      return { format: 'jsonl' };
    case '/api/v1/log/archives':
      return {};
    case '/api/v1/log/prunings':
      return { export: `exp_${nothing}`, challenge: 'c', proof: '0'.repeat(64) };
    case '/api/v1/log/prunings/challenges':
      return { export: `exp_${nothing}` };
    case '/api/v1/assertions':
      return { audience: SAMPLE_AUDIENCE };
    case '/api/v1/invitations':
      return { lab: people.partner.id, name: `Sample ${made}`, roles: ['researcher'] };
    case '/api/v1/people/:person/roles':
      return { roles: ['researcher'] };
    case '/api/v1/people/:person/attributes':
      return { attributes: { employer: { value: 'A sample' } } };
    case '/api/v1/grants/:grant/people':
      return { person: NO_PERSON };
    case '/api/v1/duties/:duty/report':
      return { statement: 'A sample' };
    case '/api/v1/duties/:duty/return':
    case '/api/v1/grants/:grant/review':
      return { grounds: 'A sample' };
    case '/api/v1/people/:person/keys':
      return { publicKey };
    case '/api/v1/grants':
    case '/api/v1/grants/:grant':
      return grantInput(people);
    case '/api/v1/tokens/revoke':
      return { grant: NO_GRANT };
    case '/api/v1/deliveries/replay':
      return { deliveries: [`dlv_${nothing}`] };
    case '/api/v1/orders':
      // What anybody may issue.
      return { level: 0, selector: { grant: NO_GRANT }, grounds: 'A sample' };
    case '/api/v1/orders/preview':
      return { order: { selector: { grant: NO_GRANT }, grounds: 'A sample' } };
    case '/api/v1/orders/:order/supplement':
      return { whyNotLower: 'A sample' };
    case '/api/v1/orders/:order/lower':
      return { level: 0, grounds: 'A sample' };
    case '/api/v1/disputes/:dispute/decide':
      return { outcome: 'affirmed', grounds: 'A sample' };
    case '/api/v1/transcripts/destroy':
      return { grant: NO_GRANT, grounds: 'A sample' };
    case '/api/v1/incidents':
      return { title: 'A sample', harms: ['death'] };
    case '/api/v1/incidents/:incident/correct':
      return { title: 'A sample', grounds: 'A sample' };
    case '/api/v1/incidents/:incident/links':
      return { entry: 0 };
    case '/api/v1/incidents/:incident/unlink':
      return { entry: 0, grounds: 'A sample' };
    case '/api/v1/incidents/:incident/findings':
      return { text: 'A sample', evidence: 'reported' };
    case '/api/v1/incidents/:incident/reports':
      return { kind: 'initial', text: 'A sample', to: ['A sample'] };
    case '/api/v1/incidents/:incident/resolve':
      return { text: 'A sample' };
    case '/api/v1/incidents/:incident/reopen':
    case '/api/v1/keys/:kid/retire':
    case '/api/v1/orders/:order/lift':
    case '/api/v1/orders/:order/review':
    case '/api/v1/orders/:order/object':
      return { grounds: 'A sample' };
    case '/api/v1/grants/:grant/accept':
      return { termsDigest: '0'.repeat(64) };
    case '/api/v1/grants/:grant/return':
    case '/api/v1/grants/:grant/reject':
    case '/api/v1/grants/:grant/revoke':
      return { grounds: 'A sample' };
    default:
      return {};
  }
}
