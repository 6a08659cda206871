/** Writes tar archives as streams: the same files give the same bytes. */
import { Readable } from 'node:stream';
import { pack, type Pack } from 'tar-stream';

/** Adds a file; resolves once the archive's reader has taken it: that is the back-pressure. */
export type AddFile = (path: string, ...content: Buffer[]) => Promise<void>;

/**
 * An archive as it is read.
 *
 * @param fill adds every file. When the stream is destroyed, what it awaits is rejected before the stream emits
 *   `close`; when it throws, the stream is destroyed with the error and has no end.
 */
export function streamTar(fill: (add: AddFile) => Promise<void>): Readable {
  return Readable.from(archive(fill), { objectMode: false });
}

async function* archive(fill: (add: AddFile) => Promise<void>): AsyncGenerator<Buffer> {
  const tar = pack();
  const filled = fill((path, ...content) => addFile(tar, path, content)).then(
    () => tar.finalize(),
    (error: unknown) => tar.destroy(error as Error),
  );
  try {
    for await (const chunk of tar as AsyncIterable<Buffer>) yield chunk;
  } finally {
    tar.destroy();
    await filled;
  }
}

/** Of pieces, so that a large file need not be in memory twice. */
function addFile(tar: Pack, name: string, content: readonly Buffer[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const size = content.reduce((sum, { length }) => sum + length, 0);
    // A fixed time and owner, so that an archive depends on its files alone.
    const header = { name, size, mode: 0o644, mtime: new Date(0) };
    const added = (error?: Error | null): void => (error ? reject(error) : resolve());
    if (content.length <= 1) tar.entry(header, content[0] ?? Buffer.alloc(0), added);
    else Readable.from(content).pipe(tar.entry(header, added));
  });
}
