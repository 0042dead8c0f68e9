// Text of /proc and the control groups; what a system does not have is empty.
import { readFileSync } from 'node:fs';

/** Text of a file; empty where there is none. */
export type ReadText = (path: string) => string;

/** Of this machine. */
export function readHere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
