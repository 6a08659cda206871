/** A page that stands by itself: no script, nothing from elsewhere, light or dark as its reader has it, made to be printed. */
import { escapeHtml } from './escape-html.ts';

const STYLE = `:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--soft:#57606a;--rule:#d0d7de;--bar:#2f6f9f;--code:#f2f4f6}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0f1318;--soft:#9aa4ae;--rule:#30363d;--bar:#5aa9d6;--code:#1b2129}}
body{margin:0 auto;padding:2rem 1rem 4rem;max-width:60rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1,h2,h3{line-height:1.25}h2{margin-top:2.5rem;border-bottom:1px solid var(--rule)}
table{border-collapse:collapse;display:block;overflow-x:auto;font-size:.9rem}
th,td{border:1px solid var(--rule);padding:.25rem .5rem;text-align:left;vertical-align:top}
code{background:var(--code);padding:.1em .3em;overflow-wrap:anywhere}pre{background:var(--code);padding:1rem;overflow-x:auto}pre code{padding:0}
blockquote{margin:0;padding-left:1rem;border-left:3px solid var(--rule);color:var(--soft)}
svg{max-width:100%;height:auto;margin:.5rem 0}svg text{fill:var(--ink);font:13px system-ui,sans-serif}svg rect{fill:var(--bar)}
@media print{:root{color-scheme:light;--ink:#000;--paper:#fff;--soft:#333;--rule:#999;--bar:#555;--code:#f2f2f2}body{max-width:none;padding:0;font-size:11pt}h2{break-after:avoid}tr,svg,blockquote{break-inside:avoid}table{display:table}pre{white-space:pre-wrap}}`;

/** @param body HTML that has been escaped */
export const htmlPage = (title: string, body: string): string =>
  `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>
${STYLE}
</style>
</head>
<body>
${body}
</body>
</html>
`;
