// Durations, sizes and rates as people write them: `7d`, `100ms`, `64KiB`, `50/s`. The one place that reads and prints
// them, for settings, flags and the HTTP API. No dependency.

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

const SIZE_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1_000,
  mb: 1_000_000,
  gb: 1_000_000_000,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

const NUMBER = String.raw`(\d{1,15}(?:\.\d{1,6})?)`;
const DURATION = new RegExp(`^${NUMBER}(ms|s|m|h|d|w)$`);
const SIZE = new RegExp(`^${NUMBER} ?([kmg]i?b|b)?$`, 'i');
const RATE = new RegExp(`^${NUMBER}/(s|m|h)$`);

/** Milliseconds of `90s`, `1.5h`, `7d`; `0` needs no unit. Undefined when it is not a duration. Whole milliseconds. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  const match = DURATION.exec(text);
  if (match === null) return undefined;
  const ms = Math.round(Number(match[1]) * (DURATION_MS[match[2] ?? ''] ?? Number.NaN));
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** Bytes of `64KiB`, `1.5 MiB`, `512`; a bare number is bytes. Undefined when it is not a size. */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text);
  if (match === null) return undefined;
  const bytes = Math.round(Number(match[1]) * (SIZE_BYTES[(match[2] ?? '').toLowerCase()] ?? Number.NaN));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Events a second of `50/s`, `600/m`; `0` is none. Undefined when it is not a rate. */
export function parseRate(text: string): number | undefined {
  if (text === '0') return 0;
  const match = RATE.exec(text);
  if (match === null) return undefined;
  return (Number(match[1]) * 1_000) / (DURATION_MS[match[2] ?? ''] ?? Number.NaN);
}

/** The shortest exact spelling: `7d`, `90s`, `100ms`, `0`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0';
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const size = DURATION_MS[unit] ?? 1;
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

/** The shortest exact spelling: `64KiB`, `1MiB`, `512`. */
export function formatSize(bytes: number): string {
  for (const [unit, size] of [['GiB', 2 ** 30] as const, ['MiB', 2 ** 20] as const, ['KiB', 2 ** 10] as const]) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return String(bytes);
}

/** `50/s`. */
export function formatRate(perSecond: number): string {
  return perSecond === 0 ? '0' : `${perSecond}/s`;
}
