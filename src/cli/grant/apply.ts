/** `sallyport grant apply`: what a file says becomes a grant, or the next text of one; the difference is shown first. */
import type { Command } from 'commander';
import { changesBetween, widens, type Change } from '../../core/grant-changes.ts';
import { grantSpecSchema, type GrantSpec } from '../../core/grants.ts';
import { notOffered } from '../../core/offered.ts';
import { id } from '../arguments.ts';
import type { BrokerClient } from '../broker-client.ts';
import { commandLine } from '../command-line.ts';
import { YES_OPTION, mustConfirm, type ConfirmOption } from '../confirm.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { jsonOf } from '../http.ts';
import { namesFor } from '../names.ts';
import { note, printDetails, printJson, printText, say } from '../output.ts';
import { failed } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import {
  endpointsSchema,
  grantSchema,
  meSchema,
  type Grant,
  type Me,
  type Proposal,
} from '../wire.ts';
import { describeSpec } from './describe.ts';
import { readGrantFile } from './grant-file.ts';

interface ApplyOptions extends BrokerOptions, ConfirmOption {
  file: string;
  dryRun?: boolean;
}

export function addGrantApply(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'apply', {
    summary: 'Make a grant from a file, or give one a new text, after showing the difference',
    details:
      'Without an id, it makes a draft. Of a draft or a returned grant, the file takes the place of the text. Of a grant in force, what only narrows it is in force at once where an admin of the host applies it; everything else is proposed, and is submitted and approved while the text in force stands.',
    examples: [
      'sallyport grant apply --file grant.yaml',
      'sallyport grant apply grt_01… --file grant.yaml --dry-run',
      'sallyport grant apply grt_01… --file grant.yaml --yes',
    ],
  })
    .argument('[id]', 'the grant; without it, a new one is made', id('grt'))
    .requiredOption('-f, --file <file>', 'the whole grant, in YAML or JSON')
    .option('--dry-run', 'show the difference and what would follow, and change nothing')
    .option(...YES_OPTION)
    .action(async (grantId: string | undefined, options: ApplyOptions) => {
      const spec = readGrantFile(options.file);
      const broker = await connect(around, options);
      const grant =
        grantId === undefined
          ? await make(around, broker, spec, options)
          : await amend(around, broker, grantId, spec, options);
      if (options.json && grant) printJson(around, grant);
    });
}

/** @returns undefined after a dry run */
async function make(
  around: Surroundings,
  broker: BrokerClient,
  spec: object,
  options: ApplyOptions,
): Promise<Grant | undefined> {
  const text = grantSpecSchema.parse(spec);
  const shown = speech(around, options);
  say(shown, `A new grant: ${text.title}.`);
  await mustOffer(broker, text);
  const named = await namesFor(broker, text);
  printDetails(shown, describeSpec(text, named));
  printText(shown, `Terms, version ${text.terms.version}:`, text.terms.text);
  if (options.dryRun) return undefined;
  await mustConfirm(around, 'Make a draft of it?', options);
  const grant = await broker.post('/grants', grantSchema, spec);
  say(shown, `Made ${grant.id} (${grant.spec.title}), a draft.`);
  noteNext(around, grant, 'submit', options);
  return grant;
}

/** What the broker refuses of a grant that names what it does not offer, before anybody is asked. @throws CliError */
async function mustOffer(broker: BrokerClient, spec: GrantSpec): Promise<void> {
  const { items } = await broker.get('/endpoints', endpointsSchema);
  const problem = notOffered(items, spec);
  if (problem !== undefined) throw failed(problem);
}

/** @returns the grant as it is then, or as it was where there was nothing to change; undefined after a dry run */
async function amend(
  around: Surroundings,
  broker: BrokerClient,
  grantId: string,
  spec: object,
  options: ApplyOptions,
): Promise<Grant | undefined> {
  const grant = await broker.get(`/grants/${grantId}`, grantSchema);
  const after = grantSpecSchema.parse(spec);
  await mustOffer(broker, after);
  const shown = speech(around, options);
  if (saysAlready(grant, after)) {
    say(shown, `${grant.id} says this already. Nothing was changed.`);
    return grant;
  }
  const changes = changesOf(grant, grant.spec, after);
  const named = await namesFor(broker, changes);
  printDetails(
    shown,
    changes.map(({ effect, text }) => [effect, named(text)]),
  );
  const follows = whatFollows(grant, changes, await broker.get('/me', meSchema));
  say(shown, follows);
  if (options.dryRun) return undefined;
  await mustConfirm(around, `Change ${grant.id} like this?`, options);
  // What was shown is what is changed: if somebody was quicker, it is refused.
  const headers = { 'if-match': `"${grant.revision}"` };
  const response = await broker.request('PUT', `/grants/${grantId}`, spec, headers);
  const changed = await jsonOf(response, grantSchema);
  sayOutcome(around, grant, changed, options);
  return changed;
}

/** With --json, standard output is for the document alone. */
const speech = (around: Surroundings, { json, dryRun }: ApplyOptions) => ({
  out: json && !dryRun ? around.err : around.out,
});

const isInForce = ({ state }: Grant): boolean => state === 'approved' || state === 'active';

/** Whether the text on its way, or without one the text itself, is the same. */
function saysAlready(grant: Grant, after: GrantSpec): boolean {
  const { spec } = grant.proposed ?? grant;
  return changesOf(grant, spec, after).length === 0;
}

function changesOf(grant: Grant, text: Grant['spec'], after: GrantSpec): Change[] {
  const before = grantSpecSchema.safeParse(text);
  if (!before.success)
    throw failed(
      'The grant says more than this version of the command knows. Use the version that the broker has.',
      before.error,
    );
  const joiners = grant.joiners.map(({ personId, until }) => ({
    personId,
    until: until ? Date.parse(until) : null,
  }));
  return changesBetween(
    { spec: before.data, joiners, leavers: grant.leavers, takenOff: grant.takenOff },
    after,
  );
}

function whatFollows(grant: Grant, changes: readonly Change[], { person, lab }: Me): string {
  if (!isInForce(grant)) return 'It takes the place of the text, as a new version.';
  if (changes.length === 0) return 'It is what is in force, in place of the proposed version.';
  const isAdmin = lab.kind === 'host' && person.roles.includes('admin');
  if (isAdmin && !widens(changes)) {
    const returned =
      grant.proposed?.state === 'submitted' || grant.proposed?.state === 'approved'
        ? ' The proposed version goes back to its author.'
        : '';
    return `It only narrows: it is in force at once, for streams that are running, too.${returned}`;
  }
  const why = widens(changes) ? 'It widens' : 'An admin of the host narrows at once; of others';
  return `${why}: it is proposed, and needs approvals. Version ${grant.version} stays in force until then.`;
}

function sayOutcome(
  around: Surroundings,
  before: Grant,
  after: Grant,
  options: ApplyOptions,
): void {
  const shown = speech(around, options);
  if (isInForce(before) && after.version > before.version) {
    say(shown, `Narrowed ${after.id}: version ${after.version} is in force.`);
    return;
  }
  const text: Grant | Proposal = after.proposed ?? after;
  const done = isInForce(before) ? 'Proposed a change of' : 'Amended';
  say(shown, `${done} ${after.id}: version ${text.version}, ${text.state}.`);
  noteNext(around, after, 'submit', options);
}

function noteNext(
  around: Surroundings,
  grant: Grant,
  step: string,
  { profile }: ApplyOptions,
): void {
  note(around, `Next: ${commandLine(around, `grant ${step} ${grant.id}`, profile)}`);
}
