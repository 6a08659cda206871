/** Writes tar archives as streams: the same files give the same bytes. */
import { Readable } from 'node:stream';
import { pack, type Pack } from 'tar-stream';

/** Adds a file; resolves once the archive's reader has taken it: that is the back-pressure. */
export type AddFile = (path: string, content: Buffer) => Promise<void>;

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
  const filled = fill((path, content) => addFile(tar, path, content)).then(
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

function addFile(tar: Pack, name: string, content: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    // A fixed time and owner, so that an archive depends on its files alone.
    const header = { name, size: content.length, mode: 0o644, mtime: new Date(0) };
    tar.entry(header, content, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}
