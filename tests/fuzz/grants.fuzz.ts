/** Sequences of what people do, most of it to grants. */
import { fuzzSequences } from './sequences.ts';

fuzzSequences('grants');
