/** Bar charts as inline SVG: no script, no style of their own, colours of the page that they stand in. */
import { escapeHtml } from './escape-html.ts';

export interface Bar {
  label: string;
  /** Not negative. */
  value: number;
  /** What is written at its end. */
  said: string;
}

const WIDTH = 640;
const ROW = 24;
const LABEL = 220;
const SAID = 110;
const MOST_BARS = 40;
const LONGEST_LABEL = 30;

/**
 * One bar for each, as long as its value in proportion to the greatest. Those beyond forty are left out: the table beside
 * the chart has them.
 *
 * @param title for whoever does not see it
 */
export function barChart(title: string, bars: readonly Bar[]): string {
  const shown = bars.slice(0, MOST_BARS);
  const greatest = Math.max(0, ...shown.map(({ value }) => value));
  const height = shown.length * ROW + 4;
  const rows = shown.map(({ label, value, said }, i) => {
    const y = i * ROW + 2;
    const length = greatest === 0 ? 0 : (value / greatest) * (WIDTH - LABEL - SAID);
    const middle = y + ROW / 2 + 4;
    return [
      `<text x="${LABEL - 8}" y="${middle}" text-anchor="end">${escapeHtml(short(label))}</text>`,
      `<rect x="${LABEL}" y="${y + 4}" width="${round(length)}" height="${ROW - 8}" rx="2"/>`,
      `<text x="${round(LABEL + length + 6)}" y="${middle}">${escapeHtml(said)}</text>`,
    ].join('');
  });
  const name = escapeHtml(title);
  return `<svg role="img" aria-label="${name}" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"><title>${name}</title>${rows.join('')}</svg>`;
}

const short = (label: string): string =>
  label.length > LONGEST_LABEL ? `${label.slice(0, LONGEST_LABEL - 1)}…` : label;

const round = (value: number): number => Math.round(value * 10) / 10;
