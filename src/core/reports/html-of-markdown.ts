/**
 * HTML of the Markdown that our reports are written in (core/incidents/markdown.ts), and of nothing more: headings, lists,
 * quotations, tables, code, bold. No links, no HTML: whatever else stands there shows as text.
 */
import { escapeHtml } from './escape-html.ts';

export function htmlOfMarkdown(text: string): string {
  return blocksOf(text).map(htmlOfBlock).join('\n');
}

/** Blocks are separated by blank lines; those of code end with their fence. */
function blocksOf(text: string): string[][] {
  const blocks: string[][] = [];
  let block: string[] = [];
  let isCode = false;
  const end = (): void => {
    if (block.length > 0) blocks.push(block);
    block = [];
  };
  for (const line of text.split('\n')) {
    if (line.startsWith('```')) {
      if (!isCode) end();
      block.push(line);
      if (isCode) end();
      isCode = !isCode;
    } else if (line === '' && !isCode) end();
    else block.push(line);
  }
  end();
  return blocks;
}

function htmlOfBlock(lines: readonly string[]): string {
  const [first = ''] = lines;
  const [, hashes, title] = /^(#{1,4}) (.*)$/.exec(first) ?? [];
  if (hashes !== undefined && lines.length === 1)
    return `<h${hashes.length}>${inline(title ?? '')}</h${hashes.length}>`;
  if (first.startsWith('```')) {
    const code = lines.slice(1).filter((line) => !line.startsWith('```'));
    return `<pre><code>${escapeHtml(code.join('\n'))}</code></pre>`;
  }
  if (lines.every((line) => line.startsWith('- ')))
    return `<ul>${lines.map((line) => `<li>${inline(line.slice(2))}</li>`).join('')}</ul>`;
  if (lines.every((line) => line.startsWith('>')))
    return `<blockquote>${lines.map((line) => inline(line.slice(2))).join('<br>')}</blockquote>`;
  if (lines.length > 1 && lines.every((line) => line.startsWith('| '))) return tableOf(lines);
  return `<p>${lines.map(inline).join(' ')}</p>`;
}

function tableOf([head = '', , ...rows]: readonly string[]): string {
  const row = (line: string, tag: 'th' | 'td'): string =>
    `<tr>${cellsOf(line)
      .map((cell) => `<${tag}>${inline(cell)}</${tag}>`)
      .join('')}</tr>`;
  return `<table><thead>${row(head, 'th')}</thead><tbody>${rows.map((line) => row(line, 'td')).join('')}</tbody></table>`;
}

/** What stands between bars. One that is written in a cell has a backslash before it, and so no space. */
const cellsOf = (line: string): string[] =>
  line
    .slice(2, line.endsWith(' |') ? -2 : undefined)
    .split(' | ')
    .map((cell) => cell.trim());

/** Code, bold, and what a backslash takes the meaning of; the rest as it is. */
const inline = (text: string): string =>
  text.replaceAll(
    /\\([\\`*[\]<>|#~&])|`([^`]+)`|\*\*([^*]+)\*\*|[^\\`*]+|[\\`*]/g,
    (all: string, escaped?: string, code?: string, bold?: string) => {
      if (escaped !== undefined) return escapeHtml(escaped);
      if (code !== undefined) return `<code>${escapeHtml(code)}</code>`;
      if (bold !== undefined) return `<strong>${inline(bold)}</strong>`;
      return escapeHtml(all);
    },
  );
