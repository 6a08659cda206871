/** Runs: the pieces of work that tokens are for. */
import { z } from 'zod';
import { endRun } from '../../broker/end-access.ts';
import { listRuns, showRun } from '../../broker/list-tokens.ts';
import { idSchema } from '../../core/ids.ts';
import { purposeSchema } from '../../core/vocabulary.ts';
import type { RunRow } from '../../store/list-runs.ts';
import { pageOf, pageQuery, searchPage } from '../paging.ts';
import { route } from '../route.ts';
import { instant, named, toInstant, toInstantOrNull } from '../schemas.ts';

const tag = 'Tokens';

const runParams = z.strictObject({ run: idSchema('run') });

const runAnswer = named(
  'Run',
  z.object({
    id: z.string(),
    labId: z.string(),
    grantId: z.string(),
    purpose: purposeSchema,
    name: z.string(),
    personId: z.string().describe('Whoever began it'),
    createdAt: instant,
    endedAt: instant.nullable().describe('When it was handed back; null: it takes tokens'),
    liveTokens: z.int().describe('Neither expired nor revoked'),
    lastUsedAt: instant.nullable().describe('When a token of it was last presented; null: never'),
  }),
);

const show = (run: RunRow): z.input<typeof runAnswer> => ({
  ...run,
  createdAt: toInstant(run.createdAt),
  endedAt: toInstantOrNull(run.endedAt),
  lastUsedAt: toInstantOrNull(run.lastUsedAt),
});

export const RUN_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/runs',
    action: 'run.read',
    tag,
    summary: 'List runs',
    description:
      'Newest first. A researcher sees those that they take part in; of a run that somebody else began, their own tokens alone are counted.',
    query: z.strictObject({
      ...pageQuery,
      grant: idSchema('grt').optional(),
      person: idSchema('per').optional().describe('Whoever began it or has, or had, a token of it'),
      open: z.enum(['true', 'false']).optional().describe('true: not handed back'),
    }),
    answer: pageOf(runAnswer),
    handle: ({ broker, actorId, query }) =>
      searchPage(
        query,
        (page) =>
          listRuns(broker, actorId, page, {
            grantId: query.grant,
            personId: query.person,
            open: query.open === 'true',
          }),
        show,
      ),
  }),
  route({
    method: 'get',
    path: '/api/v1/runs/:run',
    action: 'run.read',
    tag,
    summary: 'Show a run',
    description: 'With how many tokens of it are live, and their last use.',
    params: runParams,
    answer: runAnswer,
    handle: ({ broker, actorId, params }) => show(showRun(broker, actorId, params.run)),
  }),
  route({
    method: 'post',
    path: '/api/v1/runs/:run/end',
    action: 'run.end',
    tag,
    summary: 'Hand a run back',
    description:
      'Its tokens end, their streams are cut, and it takes no token any more. Of a run that somebody else began, a researcher ends their own tokens alone. Succeeds for one that has ended.',
    params: runParams,
    answer: z.object({
      id: z.string(),
      endedAt: instant
        .nullable()
        .describe("null: the run goes on; what ended are the caller's own tokens of it"),
      ended: z.int().describe('Live tokens that it ended'),
      cut: z.int().describe('Running requests that it cut'),
    }),
    handle: async ({ broker, actorId, params: { run } }) => {
      const { endedAt, ...rest } = await endRun(broker, actorId, run);
      return { id: run, endedAt: toInstantOrNull(endedAt), ...rest };
    },
  }),
];
