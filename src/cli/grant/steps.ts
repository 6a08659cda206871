/** `sallyport grant submit`, `return`, `approve`, `reject`, `withdraw`, `revoke` and `close`: one step each, the same way. */
import type { Command } from 'commander';
import type { GrantStep } from '../../core/grant-steps.ts';
import { noteDuties } from './duties.ts';
import { openApprovals, officesOf, textUnderReview } from './review.ts';
import { readGrantFile } from './grant-file.ts';
import { id, wholeNumber } from '../arguments.ts';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { note, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { grantSchema, type Grant } from '../wire.ts';

interface StepOptions extends BrokerOptions {
  grounds?: string;
  comment?: string;
  grantVersion?: number;
  narrow?: string;
}

interface Step {
  name: Exclude<GrantStep, 'accept'>;
  summary: string;
  done: string;
  /** Whether the broker wants to know why ("grounds"), or takes a remark ("comment"), and an example. */
  takes: { grounds: string } | { comment: string };
  /** Whether the step is about a text, so that it must be the text that the caller knows. */
  ofVersion: boolean;
  /** What comes next. @param run makes a command line, for whoever runs it */
  next?: (grant: Grant, run: (words: string) => string) => string | undefined;
}

const STEPS: Step[] = [
  {
    name: 'submit',
    summary: 'Submit a draft, or a proposed version, for review by the host lab',
    done: 'Submitted',
    takes: { comment: 'As discussed on Monday' },
    ofVersion: true,
    next: (grant, run) =>
      `${officesOf(openApprovals(grant), 'and')}, none of them an author, each run: ${run(`grant approve ${grant.id}`)}`,
  },
  {
    name: 'return',
    summary: 'Return a submitted grant, or its proposed version, to its author for changes',
    done: 'Returned',
    takes: { grounds: 'Leave out hosted tools' },
    ofVersion: true,
    next: ({ id: grant }, run) => `its author runs: ${run(`grant apply ${grant} --file …`)}`,
  },
  {
    name: 'approve',
    summary:
      'Approve a submitted grant, or its proposed version; it takes one person for each role',
    done: 'Approved',
    takes: { comment: 'Reviewed with the model owner' },
    ofVersion: true,
    next: (grant, run) => {
      if (grant.state === 'approved' || grant.proposed?.state === 'approved')
        return `the lead of the partner lab runs: ${run(`grant accept ${grant.id}`)}`;
      const open = openApprovals(grant);
      return open.length === 0
        ? undefined
        : `${officesOf(open, 'or')} runs: ${run(`grant approve ${grant.id}`)}`;
    },
  },
  {
    name: 'reject',
    summary: 'Reject a submitted grant, or its proposed version, for good',
    done: 'Rejected',
    takes: { grounds: 'Outside the agreement' },
    ofVersion: true,
  },
  {
    name: 'withdraw',
    summary:
      'Withdraw a grant, or its proposed version, that your lab wrote and that is not in force',
    done: 'Withdrew',
    takes: { comment: 'Not needed any more' },
    ofVersion: true,
  },
  {
    name: 'revoke',
    summary: 'End a grant for the host lab, at once and for good',
    done: 'Revoked',
    takes: { grounds: 'The agreement has ended' },
    ofVersion: false,
  },
  {
    name: 'close',
    summary: 'Hand a grant back for the partner lab, at once and for good',
    done: 'Closed',
    takes: { comment: 'Work finished' },
    ofVersion: false,
  },
];

export function addGrantSteps(group: Command, around: Surroundings): void {
  for (const step of STEPS) addStep(group, around, step);
}

function addStep(group: Command, around: Surroundings, step: Step): void {
  const command = defineBrokerCommand(group, step.name, {
    summary: step.summary,
    ...(step.ofVersion && {
      details:
        'Concerns the version that stands when the command begins; give --grant-version to be sure that it is the one you read.',
    }),
    examples: [
      ...('grounds' in step.takes ? [] : [`sallyport grant ${step.name} grt_01…`]),
      `sallyport grant ${step.name} grt_01… ${exampleOf(step)}`,
    ],
  }).argument('<id>', 'the grant', id('grt'));
  if ('grounds' in step.takes) command.requiredOption('--grounds <text>', 'why: kept on record');
  else command.option('--comment <text>', 'a remark: kept on record');
  if (step.ofVersion)
    command.option('--grant-version <n>', 'only if the grant is at this version', wholeNumber(1));
  if (step.name === 'approve')
    command.option(
      '--narrow <file>',
      'approve this narrower text instead, in YAML or JSON: other approvals count no more',
    );
  command.action(async (grantId: string, options: StepOptions) => {
    const spec = options.narrow === undefined ? undefined : readGrantFile(options.narrow);
    const broker = await connect(around, options);
    let version = options.grantVersion;
    if (step.ofVersion)
      version ??= textUnderReview(await broker.get(`/grants/${grantId}`, grantSchema)).version;
    const grant = await broker.post(`/grants/${grantId}/${step.name}`, grantSchema, {
      ...(version !== undefined && { version }),
      grounds: options.grounds,
      comment: options.comment,
      ...(spec && { spec }),
    });
    if (options.json) {
      printJson(around, grant);
      return;
    }
    // What was concerned may be gone: a proposed version that was withdrawn, or is in force.
    const concerned = spec ? textUnderReview(grant).version : (version ?? grant.version);
    say(
      around,
      `${step.done} ${grant.id} (${grant.spec.title}), version ${concerned}. ${standing(step, grant, concerned)}`,
    );
    const next = step.next?.(grant, (words) => commandLine(around, words));
    if (next !== undefined) note(around, `Next: ${next}`);
    if (ENDS_ACCESS.has(step.name)) noteDuties(around, grant, options.profile);
  });
}

const exampleOf = ({ takes }: Step): string =>
  'grounds' in takes ? `--grounds "${takes.grounds}"` : `--comment "${takes.comment}"`;

function standing({ name }: Step, grant: Grant, version: number): string {
  const { proposed } = grant;
  const open = openApprovals(grant);
  if (name === 'approve' && open.length > 0) {
    const what = open.length === 1 ? 'the approval of' : 'the approvals of';
    return `It is still submitted: ${what} ${officesOf(open, 'and')} ${open.length === 1 ? 'is' : 'are'} missing.`;
  }
  if (proposed?.version === version)
    return `It is ${proposed.state} now; version ${grant.version} stays in force until it follows.`;
  if (grant.version === version || !LEAVES_FORCE.has(name)) return `It is ${grant.status} now.`;
  return `Version ${grant.version} stays in force.`;
}

/** What ends a proposed version leaves the one in force as it is. */
const LEAVES_FORCE: ReadonlySet<Step['name']> = new Set(['reject', 'withdraw']);

const ENDS_ACCESS: ReadonlySet<Step['name']> = new Set(['revoke', 'close']);
