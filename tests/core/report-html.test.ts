import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { line, quotation, table } from '../../src/core/incidents/markdown.ts';
import { barChart } from '../../src/core/reports/bar-chart.ts';
import { htmlOfMarkdown } from '../../src/core/reports/html-of-markdown.ts';
import { htmlPage } from '../../src/core/reports/html-page.ts';

/** Tags that our reports are made of. Whatever else begins with "<" would be somebody else's. */
const OURS = /<\/?(?:h[1-4]|p|ul|li|blockquote|br|table|thead|tbody|tr|th|td|pre|code|strong)>/g;

const text = (html: string): string =>
  html
    .replaceAll(/<[^>]*>/g, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');

describe('HTML of a report', () => {
  it('shows what it was given: headings, lists, quotations, tables, code', () => {
    const markdown = [
      '# A **title**',
      '- **Id:** `grt_1`\n- two',
      '> one\n> two',
      table(['a', 'b'], [['1', line('x | y')]]),
      '```sh\nrun <it>\n```',
    ].join('\n\n');
    expect(htmlOfMarkdown(markdown)).toBe(
      [
        '<h1>A <strong>title</strong></h1>',
        '<ul><li><strong>Id:</strong> <code>grt_1</code></li><li>two</li></ul>',
        '<blockquote>one<br>two</blockquote>',
        '<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>x | y</td></tr></tbody></table>',
        '<pre><code>run &lt;it&gt;</code></pre>',
      ].join('\n'),
    );
  });

  it('forms nothing of what others wrote, and shows all of it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii', minLength: 1 }), (written) => {
        const said = line(written);
        fc.pre(said !== '');
        const html = htmlOfMarkdown(table(['one', 'two'], [[said, 'end']]));
        expect(html.replaceAll(OURS, '')).not.toMatch(/[<>]/);
        expect(html.match(/<td>/g)).toHaveLength(2);
        expect(text(html)).toBe(`onetwo${written.replaceAll(/\s+/g, ' ').trim()}end`);
        expect(htmlOfMarkdown(quotation(written)).replaceAll(OURS, '')).not.toMatch(/[<>]/);
      }),
    );
  });

  it('is a page without script or anything from elsewhere, whatever its title', () => {
    const page = htmlPage('</title><script>alert(1)</script>', '<p>x</p>');
    expect(page).not.toContain('<script');
    expect(page).not.toMatch(/\b(?:src|href)=|url\(|@import/);
    expect(page).toContain("default-src 'none'");
    expect(page).toContain('prefers-color-scheme:dark');
    expect(page).toContain('@media print');
  });
});

describe('a bar chart', () => {
  const bars = [
    { label: '<b>"most"', value: 10, said: '10' },
    { label: 'half', value: 5, said: '5' },
    { label: 'none', value: 0, said: '0' },
  ];

  it('has bars in proportion, and names in words', () => {
    const svg = barChart('Requests & more', bars);
    const widths = [...svg.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) =>
      Number(width),
    );
    expect(widths).toHaveLength(3);
    expect(widths[1]).toBe((widths[0] ?? 0) / 2);
    expect(widths[2]).toBe(0);
    expect(svg).toContain('aria-label="Requests &amp; more"');
    expect(svg).toContain('&lt;b&gt;&quot;most&quot;');
    expect(svg).not.toContain('<b>');
  });

  it('of nothing but zeros has no length that is no number', () => {
    expect(barChart('x', [{ label: 'a', value: 0, said: '0' }])).not.toContain('NaN');
  });
});
