/** `sallyport incident list` and `incident show` */
import { Option, type Command } from 'commander';
import { INCIDENT_STATES } from '../../core/incidents/incident.ts';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { defineListCommand, printList, type ListOptions } from '../lists.ts';
import { namesFor } from '../names.ts';
import { moment, printJson } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { printIncident } from './print.ts';
import { incidentSchema, wholeIncidentSchema } from './wire.ts';

interface IncidentListOptions extends ListOptions {
  state?: string;
  overdue?: boolean;
}

export function addIncidentList(group: Command, around: Surroundings): void {
  defineListCommand(group, 'list', {
    summary: 'List incidents, newest first',
    examples: ['sallyport incident list', 'sallyport incident list --overdue --json'],
  })
    .addOption(new Option('--state <state>', 'only in this state').choices(INCIDENT_STATES))
    .option('--overdue', 'only those with a report that is overdue')
    .action(async (options: IncidentListOptions) => {
      const { state, overdue, limit } = options;
      const broker = await connect(around, options);
      const query = { state, overdue };
      const incidents = await broker.list('/incidents', incidentSchema, limit, query);
      printList(
        around,
        options,
        incidents,
        ['id', 'state', 'harms', 'next due', 'overdue', 'title'],
        (one) => [
          one.id,
          one.state,
          one.harms.map(({ kind }) => kind).join(', '),
          moment(one.nextDueAt),
          one.overdue ? 'yes' : undefined,
          one.title,
        ],
      );
    });
}

export function addIncidentShow(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'show', {
    summary: 'Show an incident: its clock, and all that belongs to it',
    examples: ['sallyport incident show inc_01…'],
  })
    .argument('<id>', 'the incident', id('inc'))
    .action(async (incidentId: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const incident = await broker.get(`/incidents/${incidentId}`, wholeIncidentSchema);
      if (options.json) printJson(around, incident);
      else printIncident(around, incident, await namesFor(broker, incident));
    });
}
