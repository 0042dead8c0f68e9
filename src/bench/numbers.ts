// Figures of a benchmark as people read them: few digits, the unit beside them, nothing that looks more exact than it is.

/** `1,000,000`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en');
}

/** `1 process`, `56 processes`. */
export function counted(value: number, one: string, many: string): string {
  return `${count(value)} ${Math.round(value) === 1 ? one : many}`;
}

/** `39.9 M`, `14.9 k`, `9,871`, `312`, `4.2`: about three digits. */
export function short(value: number): string {
  if (value < 9_999.5) return value < 1_000 ? digits(value) : count(value);
  if (value < 999_500) return `${digits(value / 1e3)} k`;
  return value < 999.5e6 ? `${digits(value / 1e6)} M` : `${digits(value / 1e9)} G`;
}

/** `0.4 ms`, `12 ms`, `6.7 s`, `2m04s`, `5m`. */
export function time(ms: number): string {
  if (ms < 999.5) return `${digits(ms)} ms`;
  if (ms < 119_500) return `${digits(ms / 1_000)} s`;
  const seconds = Math.round(ms / 1_000);
  const rest = seconds % 60;
  return `${Math.floor(seconds / 60)}m${rest === 0 ? '' : `${String(rest).padStart(2, '0')}s`}`;
}

/** `512 B`, `3.6 KiB`, `6.8 GiB`. */
export function size(bytes: number): string {
  for (const [unit, one] of [['GiB', 2 ** 30] as const, ['MiB', 2 ** 20] as const, ['KiB', 2 ** 10] as const]) {
    if (bytes >= one) return `${digits(bytes / one)} ${unit}`;
  }
  return `${Math.round(bytes)} B`;
}

/** A share as `97 %`, `0.1 %`; less than all is never `100 %`, more than none never `0 %`. */
export function percent(share: number): string {
  if (share < 1 && share >= 0.9995) return `${Math.floor(share * 1e6) / 1e4} %`;
  if (share > 0 && share < 0.000_05) return '<0.01 %';
  return `${digits(share * 100)} %`;
}

/** One digit behind the point below a hundred, two below a tenth; none that is zero. */
function digits(value: number): string {
  if (value >= 99.95) return count(value);
  return String(Number(value.toFixed(value < 0.095 ? 2 : 1)));
}
