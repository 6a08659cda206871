/** The documentation page: Swagger UI from node_modules, with nothing from outside and no inline script. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { refuse } from '../core/denials.ts';
import type { MediaReply } from './route.ts';

const require = createRequire(import.meta.url);
const folder = dirname(require.resolve('swagger-ui-dist/package.json'));

/** Swagger UI writes style attributes and draws with data: images; nothing else is let through. */
const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>Sallyport API</title>
    <link rel="stylesheet" href="/api/docs/swagger-ui.css" />
    <link rel="icon" type="image/png" href="/api/docs/favicon-32x32.png" />
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="/api/docs/swagger-ui-bundle.js"></script>
    <script src="/api/docs/start.js"></script>
  </body>
</html>
`;

const START = `SwaggerUIBundle({
  url: '/api/v1/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
});
`;

/** The only files that are served: names, never paths, reach the disk. */
const ASSETS = new Map<string, { media: string; text?: string }>([
  ['swagger-ui.css', { media: 'text/css; charset=utf-8' }],
  ['swagger-ui-bundle.js', { media: 'text/javascript; charset=utf-8' }],
  ['favicon-32x32.png', { media: 'image/png' }],
  ['start.js', { media: 'text/javascript; charset=utf-8', text: START }],
]);

const loaded = new Map<string, Buffer>();

/** The page itself. */
export function docsPage(): MediaReply {
  return { headers: { 'content-security-policy': CSP }, body: PAGE };
}

/** A part of the page. @throws RefusedError `not_found` */
export function docsAsset(name: string): MediaReply {
  const asset = ASSETS.get(name) ?? refuse('not_found', 'The documentation has no such part.');
  let body = loaded.get(name);
  if (!body) {
    body = asset.text === undefined ? readFileSync(join(folder, name)) : Buffer.from(asset.text);
    loaded.set(name, body);
  }
  const headers = { 'content-type': asset.media, 'cache-control': 'public, max-age=3600' };
  return { headers: { ...headers, 'content-security-policy': CSP }, body };
}
