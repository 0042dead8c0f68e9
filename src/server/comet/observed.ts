// How those who watch are told of a session.

import type { Recorded } from '../observe/recorder.js';
import type { Session } from './session.js';

/** Whose session it is. */
export function whoOf({ session, handle }: Session): Recorded {
  return { session, user: handle?.user, device: handle?.device || undefined };
}

/** Milliseconds as they are shown: to the microsecond. */
export function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
