/** Does something with an incident, and shows what came of it. */
import { createReadStream } from 'node:fs';
import { createHash } from 'node:crypto';
import { connect } from '../connection.ts';
import type { BrokerOptions } from '../define.ts';
import { readInputFile } from '../input-file.ts';
import { namesFor } from '../names.ts';
import { printJson } from '../output.ts';
import { fileTrouble, wrongUsage } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';
import { printIncident } from './print.ts';
import { wholeIncidentSchema } from './wire.ts';

/** @param body what is undefined in it is left out */
export async function sendIncident(
  around: Surroundings,
  options: BrokerOptions,
  path: string,
  body: object,
): Promise<void> {
  const broker = await connect(around, options);
  const incident = await broker.post(path, wholeIncidentSchema, body);
  if (options.json) printJson(around, incident);
  else printIncident(around, incident, await namesFor(broker, incident));
}

/** A text, or that of a file as `@FILE`. @throws CliError */
export const textOf = (given: string, what: string): string =>
  given.startsWith('@') ? readInputFile(given.slice(1), what) : given;

/** The SHA-256 of a file of any size, in hex. @throws CliError */
export async function digestOf(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const hash = createHash('sha256');
  try {
    for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  } catch (error) {
    throw wrongUsage(`Cannot read ${path}: ${fileTrouble(error)}.`, error);
  }
  return hash.digest('hex');
}
