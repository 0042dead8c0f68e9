// What a mutant is: one line of src made wrong, and the test that must turn red for it.

/** A one-line mutation. */
export interface Mutant {
  /** The check that it breaks. */
  readonly name: string;
  /** Path from the project's root. */
  readonly file: string;
  /** Text that occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** The test file that must fail, and if given a part of the failing test's name. */
  readonly expect: { readonly file: string; readonly test?: string };
}
