/** For `node --import`: lets Node load the TypeScript of this checkout as it is. Newer versions can by themselves. */
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

// The writer thread is compiled.
if (isMainThread && !process.features.typescript)
  register('./typescript-hooks.mjs', import.meta.url);
