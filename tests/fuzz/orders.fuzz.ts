/** Sequences of what people do, most of it with orders. */
import { fuzzSequences } from './sequences.ts';

fuzzSequences('orders');
