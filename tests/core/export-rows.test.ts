import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COLUMNS, rowOf } from '../../src/core/audit/columns.ts';
import { csvCell } from '../../src/core/audit/csv.ts';
import type { RawEntry } from '../../src/core/audit/raw-entry.ts';

const entry = (data: Record<string, unknown>): RawEntry => ({
  v: 1,
  log: 'l',
  index: 0,
  id: 'ent_1',
  kind: 'request.outcome',
  at: '2027-03-01T10:00:00.000Z',
  committedAt: '2027-03-01T10:00:00.000Z',
  host: 'h',
  actor: { system: 'broker' },
  data,
});

const cells = (data: Record<string, unknown>): Record<string, unknown> => {
  const row = rowOf(entry(data));
  return Object.fromEntries(COLUMNS.map(({ name, of }) => [name, of(row)]));
};

describe('a row', () => {
  it('has what is nested in columns of their own, and the rest as JSON', () => {
    expect(
      cells({
        end: 'cut',
        stream: true,
        usage: { inputTokens: 1, outputTokens: 2, source: 'estimated' },
        features: ['tools'],
      }),
    ).toMatchObject({
      end: 'cut',
      stream: true,
      input_tokens: 1,
      output_tokens: 2,
      usage_source: 'estimated',
      data: '{"features":["tools"]}',
    });
  });

  it('loses nothing that is not of the type of its column', () => {
    const odd = { end: 7, durationMs: 1.5, usage: { inputTokens: 1, more: 2 }, reserved: [1] };
    expect(cells(odd)).toMatchObject({ end: null, duration_ms: null, data: JSON.stringify(odd) });
  });
});

describe('a CSV cell', () => {
  it('never begins as a formula does, whatever stands in it, and is read back as it was', () => {
    const unquoted = (cell: string): string =>
      cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell;
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.constantFrom('', '=', '+', '-', '@', '\t', '\r'),
        (text, before) => {
          const value = before + text;
          const shown = unquoted(csvCell(value, 'text'));
          expect(shown).not.toMatch(/^[=+\-@\t\r]/);
          expect([value, `'${value}`]).toContain(shown);
        },
      ),
    );
  });

  it('quotes what RFC 4180 says, and tells nothing from an empty text', () => {
    expect(csvCell('a,b', 'text')).toBe('"a,b"');
    expect(csvCell('say "x"\r\n', 'text')).toBe('"say ""x""\r\n"');
    expect(csvCell(null, 'text')).toBe('');
    expect(csvCell('', 'text')).toBe('""');
    expect(csvCell(0, 'moment')).toBe('1970-01-01T00:00:00.000Z');
    expect(csvCell(false, 'boolean')).toBe('false');
  });
});
