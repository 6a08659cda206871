/** Loads things ahead of their use: what comes over a network would else be waited for piece by piece. */

/**
 * What was loaded, in the order of the items. A failure comes where its item stands.
 *
 * @param ahead how many are loaded at a time
 */
export async function* inOrder<T, R>(
  items: Iterable<T>,
  ahead: number,
  load: (item: T) => Promise<R>,
): AsyncGenerator<[T, R]> {
  const waiting: [T, Promise<R>][] = [];
  const left = items[Symbol.iterator]();
  const begin = (): void => {
    const next = left.next();
    if (next.done === true) return;
    const loaded = load(next.value);
    // It is waited for below; until then, nobody listens.
    loaded.catch(() => undefined);
    waiting.push([next.value, loaded]);
  };
  for (let begun = 0; begun < ahead; begun += 1) begin();
  for (let first = waiting.shift(); first !== undefined; first = waiting.shift()) {
    const [item, loaded] = first;
    yield [item, await loaded];
    begin();
  }
}
