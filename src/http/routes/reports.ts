/** Reports on runs and grants, to read, to print and for programs. */
import { z } from 'zod';
import { reportOnGrant, reportOnRun } from '../../broker/report-usage.ts';
import { idSchema } from '../../core/ids.ts';
import { reportHtml, reportMarkdown, type UsageReport } from '../../core/reports/usage-report.ts';
import { mediaRoute, type MediaReply } from '../route.ts';

const tag = 'Audit log';

/** Nothing but its own style: a name in a report is somebody else's text. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";

const query = z.strictObject({
  format: z
    .enum(['json', 'md', 'html'])
    .default('json')
    .describe('html: a page that stands by itself, with charts'),
});

function replyOf(report: UsageReport, format: 'json' | 'md' | 'html'): MediaReply {
  switch (format) {
    case 'json':
      return {
        headers: { 'content-type': 'application/json; charset=utf-8' },
        body: `${JSON.stringify(report, null, 2)}\n`,
      };
    case 'md':
      return {
        headers: { 'content-type': 'text/markdown; charset=utf-8' },
        body: reportMarkdown(report),
      };
    case 'html':
      return {
        headers: {
          'content-type': 'text/html; charset=utf-8',
          'content-security-policy': POLICY,
        },
        body: reportHtml(report),
      };
  }
}

const description =
  'From the entries below a checkpoint that the report names, with a digest over them. A partner sees its own lab, a researcher their own part of a run. That it is read goes on record.';

export const REPORT_ROUTES = [
  mediaRoute({
    method: 'get',
    path: '/api/v1/reports/run/:run',
    action: 'report.run',
    tag,
    summary: 'A report on a run',
    description,
    params: z.strictObject({ run: idSchema('run') }),
    query,
    media: 'application/json',
    handle: async ({ broker, actorId, params, query: { format }, gone }) =>
      replyOf(await reportOnRun(broker, actorId, params.run, gone), format),
  }),
  mediaRoute({
    method: 'get',
    path: '/api/v1/reports/grant/:grant',
    action: 'report.grant',
    tag,
    summary: 'A report on a grant',
    description,
    params: z.strictObject({ grant: idSchema('grt') }),
    query,
    media: 'application/json',
    handle: async ({ broker, actorId, params, query: { format }, gone }) =>
      replyOf(await reportOnGrant(broker, actorId, params.grant, gone), format),
  }),
];
