// What a row of the error table is: its fields, its exit codes, and how it is written down.

/** Exit codes of the command line. */
export const Exit = {
  OK: 0,
  RUNTIME: 1,
  USAGE: 2,
  UNREACHABLE: 3,
  REFUSED: 4,
  IMPOSSIBLE: 5,
  PARTLY: 6,
  UNTRUSTED: 98,
  ASSERTION: 99,
  TIMEOUT: 124,
  INTERRUPTED: 130,
} as const;

/** A row of the table. */
export interface ErrorRow {
  /** HTTP status; for errors that never cross HTTP, 500. */
  readonly http: number;
  /** Exit code of a command that ends with it. */
  readonly exit: number;
  /** True when the same request may succeed later. A push is repeated without harm only with an idempotency key. */
  readonly retryable: boolean;
  /** What happened: one sentence, a template. */
  readonly message: string;
  /** What it means, without parameters: for `explain`. */
  readonly meaning: string;
  /** Why, a template. */
  readonly why?: string;
  /** What next: templates. */
  readonly advice: readonly string[];
}

/** A row whose request would fail again. */
export function row(
  http: number,
  exit: number,
  message: string,
  meaning: string,
  advice: readonly string[] = [],
  why?: string,
): ErrorRow {
  return { http, exit, retryable: false, message, meaning, advice, ...(why === undefined ? {} : { why }) };
}

/** A row whose request may succeed later. */
export function retry(
  http: number,
  exit: number,
  message: string,
  meaning: string,
  advice: readonly string[],
  why?: string,
) {
  return { ...row(http, exit, message, meaning, advice, why), retryable: true };
}
