/**
 * The direction of imports (docs/architecture.md):
 * main -> cli, demo, server; http -> broker, gateway -> store, audit, oauth -> core; everything may use lib.
 * src/server.ts and src/writer.ts are the only two files that see everything.
 */
const only = (from, to) => ({
  name: `${from} may import only: ${to.join(', ') || 'itself'}`,
  severity: 'error',
  from: { path: `^src/${from}/` },
  to: { path: '^src/', pathNot: [`^src/${from}/`, ...to.map((folder) => `^src/${folder}/`)] },
});

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    only('lib', []),
    only('core', []),
    only('store', ['core', 'lib']),
    only('verify', ['core']),
    only('audit', ['verify', 'core', 'lib']),
    only('oauth', ['core', 'lib']),
    only('config', ['core', 'lib']),
    only('notices', ['core', 'lib']),
    only('forward', ['notices', 'core', 'lib']),
    only('broker', ['store', 'audit', 'oauth', 'notices', 'forward', 'core', 'lib']),
    only('gateway', ['broker', 'store', 'audit', 'oauth', 'core', 'lib']),
    only('http', ['broker', 'gateway', 'store', 'audit', 'oauth', 'core', 'lib']),
    only('cli', ['audit', 'verify', 'core', 'lib']),
    {
      name: 'core is pure: no I/O, clock or packages but zod and hashing',
      severity: 'error',
      from: { path: '^src/core/' },
      to: {
        dependencyTypes: ['core', 'npm'],
        pathNot: ['^(node:)?crypto$', 'node_modules/(zod|ipaddr\\.js)/'],
      },
    },
    {
      name: 'sallyport/verify and the formats of the log run in a browser',
      severity: 'error',
      from: { path: '^src/(verify/(?!node\\.ts)|core/tlog/|core/audit/note\\.ts)' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'the writer thread alone opens the database for writing',
      severity: 'error',
      from: { pathNot: ['^src/store/', '^src/writer\\.ts$'] },
      to: { path: 'node_modules/(better-sqlite3|drizzle-orm)/' },
    },
    { name: 'no circles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no orphans',
      severity: 'error',
      from: { orphan: true, pathNot: ['^src/main\\.ts$', '^src/(writer|exporter)\\.ts$'] },
      to: {},
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.json'] },
  },
};
