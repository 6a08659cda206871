/** `sallyport/verify/node`: Node's own hashing and signatures, for {@link createVerifier}. */
export { NODE_PRIMITIVES as nodePrimitives } from '../core/audit/note-keys.ts';
