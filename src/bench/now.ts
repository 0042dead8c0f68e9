/** Monotonic milliseconds, the same in all processes of a machine: moments that one tells another mean the same there. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
