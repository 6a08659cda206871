/** Apache Parquet: typed columns, in row groups of bounded size, written out one by one. */
import type { SchemaElement } from 'hyparquet-writer';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { COLUMNS, rowOf, type CellValue, type Column } from '../../core/audit/columns.ts';
import { readRawEntry } from '../../core/audit/raw-entry.ts';
import type { ExportSink, ExportSource } from './export-plan.ts';

/** A row group ends with the first of these that it reaches: what it holds is in memory at once. */
const MOST_ROWS = 8_192;
const MOST_BYTES = 8_388_608;

/** Columns of which each row has another value: to look for repetitions there costs time and finds none. */
const UNIQUE = new Set(['index', 'id', 'request_commitment', 'response_commitment']);

const CREATED_BY = 'sallyport';

export function writeParquet({ plan, record, batches }: ExportSource, sink: ExportSink): void {
  const parquet = new ParquetWriter({
    writer: new SinkWriter(sink),
    schema: [{ name: 'root', num_children: COLUMNS.length }, ...COLUMNS.map(elementOf)],
    createdBy: CREATED_BY,
    kvMetadata: [
      { key: 'sallyport.export', value: plan.id },
      { key: 'sallyport.checkpoint', value: plan.checkpoint },
      { key: 'sallyport.record', value: record.toString('utf8') },
    ],
  });
  let group = emptyGroup();
  let rows = 0;
  let bytes = 0;
  const writeGroup = (): void => {
    // Synchronous, as the sink is: there is nothing to wait for.
    void parquet.write({
      columnData: COLUMNS.map(({ name }, i) => ({
        name,
        data: group[i] as CellValue[],
        ...(UNIQUE.has(name) ? { encoding: 'PLAIN' as const } : {}),
      })),
      rowGroupSize: rows,
    });
    sink.wrote(rows);
    group = emptyGroup();
    rows = 0;
    bytes = 0;
  };
  for (const batch of batches()) {
    for (const entry of batch) {
      const row = rowOf(readRawEntry(entry.bytes));
      COLUMNS.forEach(({ of, type }, i) => group[i]?.push(cellOf(of(row), type)));
      rows += 1;
      bytes += entry.bytes.length;
      if (rows === MOST_ROWS || bytes >= MOST_BYTES) writeGroup();
    }
  }
  if (rows > 0) writeGroup();
  void parquet.finish();
}

type Cell = CellValue | bigint;

const emptyGroup = (): Cell[][] => COLUMNS.map(() => []);

const cellOf = (value: CellValue, type: Column['type']): Cell =>
  typeof value === 'number' && type === 'integer' ? BigInt(value) : value;

function elementOf({ name, type }: Column): SchemaElement {
  const element = { name, repetition_type: 'OPTIONAL' } as const;
  switch (type) {
    case 'text':
      return { ...element, type: 'BYTE_ARRAY', converted_type: 'UTF8' };
    case 'integer':
      return { ...element, type: 'INT64' };
    case 'boolean':
      return { ...element, type: 'BOOLEAN' };
    case 'moment':
      return { ...element, type: 'INT64', converted_type: 'TIMESTAMP_MILLIS' };
  }
}

/** Hands over what was written, a row group at a time. */
class SinkWriter extends ByteWriter {
  readonly #sink: ExportSink;

  constructor(sink: ExportSink) {
    super(1_048_576);
    this.#sink = sink;
  }

  flush(): void {
    this.#sink.write(this.getBytes());
    this.index = 0;
  }

  override finish(): void {
    this.flush();
  }
}
