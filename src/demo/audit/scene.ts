/** What the chapters of the story of the audit have in common. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Narrator } from '../narrator.ts';
import type { Stage } from '../tell.ts';
import type { DemoPerson, DemoWorld } from '../world.ts';
import type { Site } from './sites.ts';
import { openTerminal, terminalOf, type Ended, type Terminal } from './terminal.ts';

/** What is in none of the host's files. */
export const SECRET = 'the lighthouse keeper of Skerryvore';

export const QUESTIONS = [
  `Who was ${SECRET}?`,
  'Which of these did you make up?',
  'Are you certain of that?',
];

/** Exit codes of `audit verify`, `audit receipt`, `audit open`, `audit compare` and `audit statement --receipts`. */
export const SOUND = 0;
export const TAMPERED = 1;
export const INCOMPLETE = 2;
export const COULD_NOT_RUN = 3;

export interface Scene {
  world: DemoWorld;
  narrator: Narrator;
  /** The host's broker, and the partner's. */
  sites: [Site, Site];
  /** For files of the people in the story. */
  desk: string;
  /** Of somebody who has no login anywhere: what they check, they check with files and keys alone. */
  stranger: Terminal;
  as(person: DemoPerson): Promise<Terminal>;
}

export function sceneOf({ world, narrator, folder }: Stage, sites: [Site, Site]): Scene {
  const desk = join(folder, 'desk');
  mkdirSync(desk, { mode: 0o700 });
  const home = (name: string): string => join(folder, 'homes', name);
  return {
    world,
    narrator,
    sites,
    desk,
    stranger: openTerminal(home('stranger')),
    as: (person) => terminalOf(world, person, home(person.part)),
  };
}

export const said = ({ code, out, err }: Ended): string => `${code}: ${`${err}${out}`.trim()}`;
