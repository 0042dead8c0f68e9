// The one error type: a code of the table with its parameters, and the texts that follow from both.
// Nothing secret may be a parameter: all of them are shown.

import type { ErrorRow } from './error-row.js';
import { ERRORS, type ErrorCode } from './error-table.js';
import { isJsonObject } from './text.js';

export type { ErrorRow } from './error-row.js';
export { ERRORS, type ErrorCode } from './error-table.js';

/** Parameters of the templates. */
export type ErrorDetails = { readonly [name: string]: string | number | undefined };

/** Figures that belong to an error: aligned below it for people, objects in JSON. Each row has a value for each column. */
export interface ErrorTable {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** An RFC 9457 problem document, and what `--json` prints of it. */
export interface Problem {
  /** `urn:imgo:error:CODE`. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  /** Why. */
  readonly detail?: string;
  readonly advice: readonly string[];
}

/** True for a code of the table. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

/** The row of a code. */
export function errorRow(code: ErrorCode): ErrorRow {
  return ERRORS[code];
}

/**
 * Fills a template: {name} is a parameter, [ … ] is left out when a parameter inside it is missing.
 * Undefined when a parameter outside of brackets is missing.
 */
export function fillTemplate(template: string, details: ErrorDetails): string | undefined {
  let missing = false;
  const fill = (text: string, absent: () => void): string =>
    text.replace(/\{(\w+)\}/g, (_all, name: string) => {
      const value = Object.hasOwn(details, name) ? details[name] : undefined;
      if (value === undefined) absent();
      return String(value ?? '');
    });
  // Split first: what a parameter's value contains is never read as a template.
  const parts = template.split(/\[([^[\]]*\{\w+\}[^[\]]*)\]/);
  let text = '';
  for (const [index, part] of parts.entries()) {
    if (index % 2 === 0) {
      text += fill(part, () => {
        missing = true;
      });
      continue;
    }
    let dropped = false;
    const filled = fill(part, () => {
      dropped = true;
    });
    if (!dropped) text += filled;
  }
  return missing ? undefined : text;
}

/** A template with its missing parameters shown as `?`: a message is never withheld. */
function fillVisibly(template: string, details: ErrorDetails): string {
  const filled = fillTemplate(template, details);
  if (filled !== undefined) return filled;
  const shown: Record<string, string | number | undefined> = { ...details };
  const bare = template.replace(/\[[^[\]]*\{\w+\}[^[\]]*\]/g, '');
  for (const [, name] of bare.matchAll(/\{(\w+)\}/g)) if (name !== undefined) shown[name] ??= '?';
  return fillTemplate(template, shown) ?? template;
}

/** What is thrown wherever a person or a caller is to read it. */
export class ImgoError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  /** Why, where the table says it and its parameters are there. */
  readonly reason: string | undefined;
  /** What next. */
  readonly advice: readonly string[];
  readonly table: ErrorTable | undefined;

  constructor(
    code: ErrorCode,
    details: ErrorDetails = {},
    options: { readonly cause?: unknown; readonly table?: ErrorTable } = {},
  ) {
    const row = errorRow(code);
    super(fillVisibly(row.message, details), 'cause' in options ? { cause: options.cause } : {});
    this.name = 'ImgoError';
    this.code = code;
    this.details = details;
    this.table = options.table;
    this.reason = row.why === undefined ? undefined : fillTemplate(row.why, details);
    this.advice = row.advice.flatMap((line) => fillTemplate(line, details) ?? []);
  }

  /** HTTP status. */
  get http(): number {
    return errorRow(this.code).http;
  }

  /** Exit code of a command that ends with this. */
  get exit(): number {
    return errorRow(this.code).exit;
  }

  /** True when the same request may succeed later. A push is repeated without harm only with an idempotency key. */
  get retryable(): boolean {
    return errorRow(this.code).retryable;
  }

  /** The problem document. */
  toProblem(): Problem {
    const detail = this.reason === undefined ? {} : { detail: this.reason };
    const { code, message: title, http: status, advice } = this;
    return { type: `urn:imgo:error:${code}`, title, status, code, ...detail, advice };
  }
}

/** An error as another process told it: its texts are kept, an unknown code counts as `internal`. */
export class RemoteError extends ImgoError {
  override readonly message: string;
  override readonly reason: string | undefined;
  override readonly advice: readonly string[];

  constructor(code: ErrorCode, problem: Problem) {
    super(code);
    this.name = 'RemoteError';
    this.message = problem.title;
    this.reason = problem.detail;
    this.advice = problem.advice;
  }
}

/** The error that a problem document tells, or undefined when it is none. */
export function errorFromProblem(document: unknown): ImgoError | undefined {
  if (!isJsonObject(document)) return undefined;
  const { code, title, status, detail, advice } = document;
  if (typeof code !== 'string' || typeof title !== 'string' || typeof status !== 'number') return undefined;
  const lines = Array.isArray(advice) ? advice.filter((line): line is string => typeof line === 'string') : [];
  const why = typeof detail === 'string' ? { detail } : {};
  const problem: Problem = { type: `urn:imgo:error:${code}`, title, status, code, ...why, advice: lines };
  return new RemoteError(isErrorCode(code) ? code : 'internal', problem);
}

/** Any thrown value as an ImgoError; what is not one becomes `internal` with the value as its cause. */
export function asImgoError(thrown: unknown): ImgoError {
  return thrown instanceof ImgoError ? thrown : new ImgoError('internal', {}, { cause: thrown });
}
