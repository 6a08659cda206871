/** The options by which commands search the log: the same ones everywhere. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { operationSchema, purposeSchema } from '../../core/vocabulary.ts';
import { id, instant, notEmpty, several, wholeNumber } from '../arguments.ts';
import type { Query } from '../broker-client.ts';
import type { Surroundings } from '../surroundings.ts';

/** A moment, or so many milliseconds ago. */
type Since = { at: string } | { agoMs: number };

export interface SearchOptions {
  since?: Since;
  until?: Since;
  kind?: string[];
  ref?: string;
  id?: string;
  lab?: string;
  of?: string;
  actor?: string;
  grant?: string;
  run?: string;
  token?: string;
  order?: string;
  purpose?: string;
  endpoint?: string;
  model?: string;
  operation?: string;
  decision?: string;
  reason?: string;
  end?: string;
  from?: number;
}

const UNITS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function since(text: string): Since {
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (count !== undefined) return { agoMs: Number(count) * (UNITS[unit] as number) };
  try {
    return { at: instant(text) };
  } catch {
    throw new InvalidArgumentError(
      'It is 90s, 30m, 2h or 7d, or a moment such as 2027-01-31T12:00:00Z.',
    );
  }
}

const HEADING = 'Which entries (all that is given has to hold):';

/** Adds the options of a search to a command. */
export function withSearchOptions(command: Command): Command {
  const add = <T>(flags: string, text: string, parse: (value: string, before: T) => T): void =>
    void command.addOption(new Option(flags, text).argParser(parse).helpGroup(HEADING));
  add('--since <when>', 'that the log took since then: 90s, 30m, 2h, 7d ago, or a moment', since);
  add('--until <when>', 'that the log took before then', since);
  add(
    '--kind <kind>',
    'of this kind, such as request.denied; several times: of any of them',
    several,
  );
  add('--ref <id>', 'about this request, grant, order, token or person', notEmpty);
  add('--id <id>', 'that name this id anywhere', notEmpty);
  add('--lab <id>', 'that concern this partner lab', id('lab'));
  add('--of <id>', 'that concern this person', id('per'));
  add('--actor <id>', 'of what this person did; "broker": what it did by itself', notEmpty);
  add('--grant <id>', 'under this grant', id('grt'));
  add('--run <id>', 'of this run', id('run'));
  add('--token <id>', 'with this token', id('tok'));
  add('--order <id>', 'of this order, and of what it refused, ended or watched', id('ord'));
  command.addOption(
    new Option('--purpose <purpose>', 'with this purpose')
      .choices(purposeSchema.options)
      .helpGroup(HEADING),
  );
  add('--endpoint <id>', 'on this endpoint', notEmpty);
  add('--model <name>', 'that asked for this model', notEmpty);
  command.addOption(
    new Option('--operation <name>', 'of this operation')
      .choices(operationSchema.options)
      .helpGroup(HEADING),
  );
  command.addOption(
    new Option('--decision <decision>', 'with this decision')
      .choices(['allowed', 'denied'])
      .helpGroup(HEADING),
  );
  add('--reason <code>', 'with this reason, such as budget_exhausted', notEmpty);
  add('--end <end>', 'of requests that ended so: completed, cut, client_gone, …', notEmpty);
  add('--from <index>', 'from this index on', wholeNumber(0));
  return command;
}

/** The query of a search. */
export function searchQuery({ clock }: Pick<Surroundings, 'clock'>, options: SearchOptions): Query {
  const now = clock();
  const moment = (when: Since | undefined): string | undefined =>
    when && ('at' in when ? when.at : new Date(now - when.agoMs).toISOString());
  const { kind, ref, id: named, lab, of, actor, grant, run, token, order } = options;
  const { purpose, endpoint, model, operation, decision, reason, end, from } = options;
  return {
    since: moment(options.since),
    until: moment(options.until),
    kind,
    ref,
    id: named,
    lab,
    person: of,
    actor,
    grant,
    run,
    token,
    order,
    purpose,
    endpoint,
    model,
    operation,
    decision,
    reason,
    end,
    from,
  };
}
