/** Exports as a client asks for them. */
import type { Api } from './api.ts';
import type { TestPerson } from './people.ts';
import type { TestBroker } from './test-broker.ts';

export interface Received {
  status: number;
  headers: Headers;
  id: string;
  bytes: Buffer;
}

/** Asks for an export and reads it to its end. */
export async function exported(
  test: TestBroker,
  api: Api,
  who: TestPerson,
  asked: object,
): Promise<Received> {
  return received(
    await fetch(`${test.url}/api/v1/exports`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${await api.tokenOf(who)}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify(asked),
    }),
  );
}

/** Reads an export again, perhaps from a byte on. */
export async function contentOf(
  test: TestBroker,
  api: Api,
  who: TestPerson,
  id: string,
  headers: Record<string, string> = {},
): Promise<Received> {
  const authorization = `Bearer ${await api.tokenOf(who)}`;
  const url = `${test.url}/api/v1/exports/${id}/content`;
  return received(await fetch(url, { headers: { authorization, ...headers } }));
}

async function received(answer: Response): Promise<Received> {
  const { status, headers } = answer;
  const bytes = Buffer.from(await answer.arrayBuffer());
  return { status, headers, id: headers.get('x-sallyport-export') ?? '', bytes };
}
