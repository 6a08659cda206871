/** `sallyport grant add-person|take-off-person|review`: what is done with a grant in force, whose text stays as it is */
import type { Command } from 'commander';
import { id, instant, notEmpty } from '../arguments.ts';
import { commandLine } from '../command-line.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { jsonOf } from '../http.ts';
import { namesFor } from '../names.ts';
import { moment, note, printJson, say } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { grantSchema } from '../wire.ts';
import { noteDuties } from './duties.ts';

export function addGrantRoster(group: Command, around: Surroundings): void {
  addPerson(group, around);
  takeOffPerson(group, around);
  review(group, around);
}

function addPerson(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'add-person', {
    summary: 'Put somebody of your lab on the roster, within its cap',
    details:
      'For the lead. Also puts back whom the lead took off. Somebody who is not registered yet is invited ("person invite").',
    examples: [
      'sallyport grant add-person grt_01… per_01…',
      'sallyport grant add-person grt_01… per_01… --until 2026-07-01T00:00:00Z',
    ],
  })
    .argument('<id>', 'the grant', id('grt'))
    .argument('<person>', 'the person', id('per'))
    .option('--until <time>', 'when the place ends; default: with the grant', instant)
    .action(
      async (grantId: string, person: string, options: BrokerOptions & { until?: string }) => {
        const broker = await connect(around, options);
        const body = { person, until: options.until };
        const grant = await broker.post(`/grants/${grantId}/people`, grantSchema, body);
        if (options.json) {
          printJson(around, grant);
          return;
        }
        const named = await namesFor(broker, person);
        say(around, `${named(person)} is on the roster of ${grant.id} (${grant.spec.title}).`);
        const lacking = grant.roster.find(({ personId }) => personId === person)?.lacking ?? [];
        if (lacking.length > 0)
          note(around, `The grant requires what is not known of them: ${lacking.join(', ')}.`);
        if (!grant.acceptedBy.includes(person))
          note(around, `Next: they run: ${commandLine(around, `grant accept ${grant.id}`)}`);
      },
    );
}

function takeOffPerson(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'take-off-person', {
    summary: 'Take somebody off the roster: their tokens under the grant end, at once',
    details:
      'For the lead, who can put them back ("grant add-person"). To give a place up for good: "person hand-back".',
    examples: ['sallyport grant take-off-person grt_01… per_01…'],
  })
    .argument('<id>', 'the grant', id('grt'))
    .argument('<person>', 'the person', id('per'))
    .action(async (grantId: string, person: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const path = `/grants/${grantId}/people/${person}`;
      const grant = await jsonOf(await broker.request('DELETE', path), grantSchema);
      if (options.json) {
        printJson(around, grant);
        return;
      }
      const named = await namesFor(broker, person);
      say(around, `Took ${named(person)} off the roster of ${grant.id} (${grant.spec.title}).`);
      noteDuties(around, grant, options.profile);
    });
}

function review(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'review', {
    summary: 'Record that a grant in force was reviewed and goes on',
    details:
      'Sets its next review. What should not go on is narrowed ("grant apply"), stopped ("order issue") or ended ("grant revoke").',
    examples: ['sallyport grant review grt_01… --grounds "Use and findings read; goes on"'],
  })
    .argument('<id>', 'the grant', id('grt'))
    .requiredOption('--grounds <text>', 'what was looked at: goes on record', notEmpty)
    .action(async (grantId: string, options: BrokerOptions & { grounds: string }) => {
      const broker = await connect(around, options);
      const body = { grounds: options.grounds };
      const grant = await broker.post(`/grants/${grantId}/review`, grantSchema, body);
      if (options.json) printJson(around, grant);
      else
        say(
          around,
          `Reviewed ${grant.id} (${grant.spec.title}). The next review is due by ${moment(grant.reviewDueAt)}.`,
        );
    });
}
