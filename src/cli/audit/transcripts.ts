/** `sallyport audit transcripts …`: all that is kept, checked and destroyed. */
import type { Command } from 'commander';
import { id, instant } from '../arguments.ts';
import { YES_OPTION, mustConfirm, type ConfirmOption } from '../confirm.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, defineGroup, type BrokerOptions } from '../define.ts';
import { EXIT } from '../exit-codes.ts';
import { counted, printJson, printTable, say } from '../output.ts';
import { QuietExit } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { checkedSchema, destroyedSchema } from './transcript-wire.ts';

export function addAuditTranscripts(parent: Command, around: Surroundings): void {
  const group = defineGroup(parent, 'transcripts', 'All transcripts: checking, destroying');
  addCheck(group, around);
  addDestroy(group, around);
}

function addCheck(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'check', {
    summary: 'Check that every transcript is stored as its entry says, or was destroyed',
    details:
      'The broker reads every file and compares its SHA-256; nothing of it is shown. Ends with exit code 1 where something is missing or was changed. That it was asked goes on record.',
    examples: ['sallyport audit transcripts check'],
  }).action(async (options: BrokerOptions) => {
    const broker = await connect(around, options);
    const sum = { sound: 0, destroyed: 0 };
    const problems: (typeof checkedSchema._output)['problems'] = [];
    for (let from: number | null = 0; from !== null;) {
      const part: typeof checkedSchema._output = await broker.post(
        '/transcripts/check',
        checkedSchema,
        { from },
      );
      sum.sound += part.sound;
      sum.destroyed += part.destroyed;
      problems.push(...part.problems);
      from = part.next;
    }
    if (options.json) printJson(around, { ...sum, problems });
    else {
      const rows = problems.map(({ index, requestId, part, problem }) => [
        index,
        requestId,
        part,
        problem,
      ]);
      if (rows.length > 0) printTable(around, ['entry', 'request', 'part', 'problem'], rows);
      const bad = problems.length === 0 ? 'nothing missing or changed' : 'SEE ABOVE FOR THE REST';
      say(
        around,
        `${counted(sum.sound, 'body', 'bodies')} as stored, ${sum.destroyed} destroyed, ${bad}.`,
      );
    }
    if (problems.length > 0) throw new QuietExit(EXIT.failed);
  });
}

interface DestroyOptions extends BrokerOptions, ConfirmOption {
  grant: string;
  until?: string;
  grounds: string;
  evenHeld?: boolean;
}

function addDestroy(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'destroy', {
    summary: 'Destroy the transcripts of a grant, for good',
    details:
      'For admins and safety officers of the host lab. What an incident that is not closed has to do with stays, unless --even-held says otherwise. The log keeps digests and commitments: every proof stays valid. The destruction goes on record.',
    examples: [
      'sallyport audit transcripts destroy --grant grt_01… --grounds "Asked for by the partner"',
    ],
  })
    .requiredOption('--grant <id>', 'whose transcripts', id('grt'))
    .requiredOption('--grounds <text>', 'why; kept in the log')
    .option('--until <time>', 'only those written until then, RFC 3339', instant)
    .option('--even-held', 'those that an incident holds as well')
    .option(...YES_OPTION)
    .action(async (options: DestroyOptions) => {
      const { grant, until, grounds, evenHeld = false } = options;
      const broker = await connect(around, options);
      const which = until === undefined ? 'All transcripts' : `The transcripts until ${until}`;
      await mustConfirm(around, `${which} of ${grant} will be gone for good. Go on?`, options);
      const body = { grant, until, grounds, evenHeld };
      const done = await broker.post('/transcripts/destroy', destroyedSchema, body);
      if (options.json) return printJson(around, done);
      const held = done.held === 0 ? '' : ` ${counted(done.held, 'file')} stay for an incident.`;
      const open =
        done.open === 0
          ? ''
          : ` ${counted(done.open, 'file')} still being written: to be destroyed once ended.`;
      say(
        around,
        `${counted(done.bodies, 'body', 'bodies')} in ${counted(done.files, 'file')} destroyed (${done.id}).${held}${open}`,
      );
    });
}
