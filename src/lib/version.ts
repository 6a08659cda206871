import { readFileSync } from 'node:fs';

interface Package {
  version: string;
}

const read = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');

/** Version of this broker, from package.json: two folders up, both from src/ and from dist/. */
export const VERSION: string = (JSON.parse(read) as Package).version;
