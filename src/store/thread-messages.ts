/** What the main thread and the writer thread say to each other. */
import type { AuthorityRules } from '../core/authority-rules.ts';
import type { NoticeChannel } from '../core/notice-channels.ts';
import type { GrantSettings } from './context.ts';
import type { Call, Committed } from './group-commit.ts';

/** Handed to the writer thread when it starts. */
export interface WriterSettings {
  dataDir: string;
  /** Origin that a new log gets; an existing log keeps its own and refuses another. */
  origin: string;
  /** Who decides, and within what time. */
  rules: AuthorityRules;
  /** What the configuration says of grants beyond that; undefined: nothing. */
  grants?: GrantSettings;
  /** Where notices go out; none by default. */
  channels?: readonly NoticeChannel[];
}

export type ToWriter = { kind: 'calls'; calls: Call[] } | { kind: 'stop' };

export type FromWriter =
  /**
   * `journalWasMissing`: the database speaks of a journal that was not there; `logKeysMissing`: files of keys of the log
   * that were replaced and should sign beside the new one.
   */
  | {
      kind: 'ready';
      origin: string;
      verifierKey: string;
      journalWasMissing: boolean;
      logKeysMissing: string[];
    }
  | { kind: 'refused_to_start'; reason: string }
  /** `messages`: how many messages of calls that commit has done with. */
  | ({ kind: 'committed'; messages: number } & Committed)
  | { kind: 'stopped' };
