/** `sallyport grant submit`, `return`, `approve`, `reject`, `revoke` and `close`: one step each, the same way. */
import type { Command } from 'commander';
import { APPROVALS_NEEDED, type GrantStep } from '../../core/grants.ts';
import { id, wholeNumber } from '../arguments.ts';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { note, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { grantSchema, type Grant } from '../wire.ts';

interface StepOptions extends BrokerOptions {
  comment?: string;
  grantVersion?: number;
}

interface Step {
  name: Exclude<GrantStep, 'amend' | 'accept'>;
  summary: string;
  done: string;
  /** A comment as an example. */
  comment: string;
  /** Whether the broker wants to know why. */
  takesReason: boolean;
  /** Whether the step is about a text, so that it must be the text that the caller knows. */
  ofVersion: boolean;
  /** What comes next. @param run makes a command line, for whoever runs it */
  next?: (grant: Grant, run: (words: string) => string) => string | undefined;
}

const STEPS: Step[] = [
  {
    name: 'submit',
    summary: 'Submit a draft for review by the host lab',
    done: 'Submitted',
    comment: 'As discussed on Monday',
    takesReason: false,
    ofVersion: true,
    next: ({ id: grant }, run) =>
      `an admin and a safety officer of the host lab, neither of them an author, each run: ${run(`grant approve ${grant}`)}`,
  },
  {
    name: 'return',
    summary: 'Return a submitted grant to its author for changes',
    done: 'Returned',
    comment: 'Leave out hosted tools',
    takesReason: true,
    ofVersion: true,
    next: ({ id: grant }, run) => `its author runs: ${run(`grant amend ${grant} --file …`)}`,
  },
  {
    name: 'approve',
    summary: 'Approve a submitted grant; it takes two people, an admin and a safety officer',
    done: 'Approved',
    comment: 'Reviewed with the model owner',
    takesReason: false,
    ofVersion: true,
    next: (grant, run) => {
      if (grant.status === 'approved')
        return `the lead of the partner lab runs: ${run(`grant accept ${grant.id}`)}`;
      const others = missingApprovals(grant);
      return others === '' ? undefined : `${others} runs: ${run(`grant approve ${grant.id}`)}`;
    },
  },
  {
    name: 'reject',
    summary: 'Reject a submitted grant for good',
    done: 'Rejected',
    comment: 'Outside the agreement',
    takesReason: true,
    ofVersion: true,
  },
  {
    name: 'revoke',
    summary: 'End a grant for the host lab, at once and for good',
    done: 'Revoked',
    comment: 'The agreement has ended',
    takesReason: true,
    ofVersion: false,
  },
  {
    name: 'close',
    summary: 'Hand a grant back for the partner lab, at once and for good',
    done: 'Closed',
    comment: 'Work finished',
    takesReason: false,
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
      ...(step.takesReason ? [] : [`sallyport grant ${step.name} grt_01…`]),
      `sallyport grant ${step.name} grt_01… --comment "${step.comment}"`,
    ],
  }).argument('<id>', 'the grant', id('grt'));
  if (step.takesReason) command.requiredOption('--comment <text>', 'why: goes on record');
  else command.option('--comment <text>', 'goes on record');
  if (step.ofVersion)
    command.option('--grant-version <n>', 'only if the grant is at this version', wholeNumber(1));
  command.action(async (grantId: string, options: StepOptions) => {
    const broker = await connect(around, options);
    let version = options.grantVersion;
    if (step.ofVersion) version ??= (await broker.get(`/grants/${grantId}`, grantSchema)).version;
    const grant = await broker.post(`/grants/${grantId}/${step.name}`, grantSchema, {
      ...(version !== undefined && { version }),
      ...(options.comment !== undefined && { comment: options.comment }),
    });
    if (options.json) {
      printJson(around, grant);
      return;
    }
    say(
      around,
      `${step.done} ${grant.id} (${grant.spec.title}), version ${grant.version}. ${standing(step, grant)}`,
    );
    const next = step.next?.(grant, (words) => commandLine(around, words));
    if (next !== undefined) note(around, `Next: ${next}`);
  });
}

const OFFICES: Record<(typeof APPROVALS_NEEDED)[number], string> = {
  admin: 'an admin',
  safety: 'a safety officer',
};

/** Whose approvals of a submitted grant are still to come, in words; empty when none is. */
function missingApprovals({ status, approvals }: Grant): string {
  if (status !== 'submitted') return '';
  return APPROVALS_NEEDED.filter((role) => approvals.every((approval) => approval.as !== role))
    .map((role) => `${OFFICES[role]} of the host lab`)
    .join(' and ');
}

function standing({ name }: Step, grant: Grant): string {
  const missing = missingApprovals(grant);
  return name === 'approve' && missing !== ''
    ? `It is still submitted: the approval of ${missing} is missing.`
    : `It is ${grant.status} now.`;
}
