// What a check of `imgo doctor` finds: how it is, how it should be, what to do; lines to paste where a setting of the system is
// not enough.

/** ok: nothing to do; warning: it works, and not well; error: it does not work. */
export type State = 'ok' | 'warning' | 'error';

/** One check. */
export interface Finding {
  readonly name: string;
  readonly state: State;
  /** What is there. */
  readonly found: string;
  /** What should be there, where that is something else. */
  readonly needed?: string;
  readonly advice?: readonly string[];
  /** Lines for /etc/sysctl.d: `net.core.somaxconn = 4096`. */
  readonly sysctl?: readonly string[];
  /** Lines for the [Service] part of the unit: `LimitNOFILE=1048576`. */
  readonly unit?: readonly string[];
}

/** `1,048,576`; `no limit`. */
export function many(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString('en-US') : 'no limit';
}

/** `3.2 GiB`; `no limit`. */
export function bytes(value: number): string {
  if (!Number.isFinite(value)) return 'no limit';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const at = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, value)) / 10));
  const shown = value / 2 ** (10 * at);
  return `${shown.toFixed(shown < 10 && at > 0 ? 1 : 0)} ${units[at]}`;
}
