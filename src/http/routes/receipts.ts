/** Receipts: what a person keeps of their requests, to be checked without the broker. */
import { z } from 'zod';
import { readProof, readReceipt, readReceipts } from '../../broker/receipts.ts';
import type { ReceiptOf } from '../../core/audit/receipt.ts';
import { idSchema } from '../../core/ids.ts';
import { mediaRoute, route } from '../route.ts';
import { named } from '../schemas.ts';

const tag = 'Audit log';
const TEXT = 'text/plain; charset=utf-8';

const request = idSchema('req');

/** Receipts in one answer. */
const MOST_RECEIPTS = 100;

const index = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

const subject = z
  .string()
  .regex(
    /^(?:req_[0-9a-z]{26}|0|[1-9]\d{0,14})$/,
    'must be the id of a request (req_…), or the index of an entry',
  )
  .transform((text): ReceiptOf =>
    text.startsWith('req_') ? { request: text } : { entry: Number(text) },
  );

const receiptAnswer = named(
  'Receipt',
  z.object({
    request: request.describe('What it is a receipt of'),
    receipt: z.string().describe('The receipt, as its file is written'),
  }),
);

export const RECEIPT_ROUTES = [
  mediaRoute({
    method: 'get',
    path: '/api/v1/log/entries/:index/proof',
    action: 'log.read',
    tag,
    summary: 'The proof that an entry is in the log',
    description:
      'A C2SP tlog-proof, to a signed checkpoint that covers the entry: it may take a second. The reading is recorded.',
    params: z.strictObject({ index }),
    media: TEXT,
    handle: async ({ broker, actorId, params }) => ({
      headers: attachment(`entry-${params.index}.tlog-proof`),
      body: await readProof(broker, actorId, params.index),
    }),
  }),
  mediaRoute({
    method: 'get',
    path: '/api/v1/log/receipts/:receipt',
    action: 'log.read',
    tag,
    summary: 'The receipt of a request, or of an entry',
    description:
      'The exact bytes of its entries, each with its C2SP tlog-proof: see docs/receipts.md. Every answer of the gateway has the id of its request in x-request-id. "sallyport audit receipt" checks it offline. The reading is recorded.',
    params: z.strictObject({ receipt: subject }),
    media: TEXT,
    handle: async ({ broker, actorId, params: { receipt: of } }) => ({
      headers: attachment(`${'request' in of ? of.request : `entry-${of.entry}`}.receipt`),
      body: await readReceipt(broker, actorId, of),
    }),
  }),
  route({
    method: 'get',
    path: '/api/v1/log/receipts',
    action: 'log.read',
    tag,
    summary: 'Receipts of several requests',
    description:
      'Of those that are there and within your reach; the others are left out. The reading is recorded.',
    query: z.strictObject({
      requests: z
        .string()
        .transform((text) => text.split(','))
        .pipe(z.array(request).min(1).max(MOST_RECEIPTS))
        .describe(`Ids of requests, with commas between them; at most ${MOST_RECEIPTS}`),
    }),
    answer: z.object({ items: z.array(receiptAnswer) }),
    handle: async ({ broker, actorId, query }) => {
      const asked = query.requests.map((id): ReceiptOf => ({ request: id }));
      const { receipts } = await readReceipts(broker, actorId, asked);
      return {
        items: receipts.map(({ of, receipt }) => ({
          request: 'request' in of ? of.request : '',
          receipt,
        })),
      };
    },
  }),
];

const attachment = (name: string): Record<string, string> => ({
  'content-disposition': `attachment; filename="${name}"`,
});
