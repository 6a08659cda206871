import { it } from 'vitest';
import { startTestBroker } from '../support/test-broker.ts';
import { makePeople, } from '../support/people.ts';
import { writeFileSync, mkdirSync } from 'node:fs';
import * as G from '../support/grants.ts';
it('serves', async () => {
  const t = await startTestBroker();
  const p = await makePeople(t);
  console.log(Object.keys(G));
  mkdirSync('/tmp/zz',{recursive:true});
  for (const w of ['admin','safety','auditor','lead','researcher'] as const) writeFileSync(`/tmp/zz/${w}.pem`, p[w].privateKey.export({type:'pkcs8',format:'pem'}), {mode:0o600});
  writeFileSync('/tmp/zz/env', `URL=${t.url}\nADMIN=${p.admin.id}\nSAFETY=${p.safety.id}\nLEAD=${p.lead.id}\nRES=${p.researcher.id}\nAUD=${p.auditor.id}\nLAB=${p.partner.id}\n`);
  await new Promise((r) => setTimeout(r, 60000));
  await t.close();
}, 90000);
