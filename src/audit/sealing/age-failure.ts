/** Why an age file does not open. */

export type AgeProblem =
  /** No header of age v1. */
  | 'not_age'
  /** Sealed to others. */
  | 'not_for_this_key'
  /** Header or a chunk were changed since. */
  | 'changed'
  /** It ends before its last chunk. */
  | 'cut';

export class AgeFailure extends Error {
  readonly problem: AgeProblem;

  constructor(problem: AgeProblem, message: string) {
    super(message);
    this.name = 'AgeFailure';
    this.problem = problem;
  }
}
