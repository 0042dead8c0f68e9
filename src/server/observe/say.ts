// Figures in the words of alerts: short, with their units. Percentages are whole but where that would hide them.

/** `1,240`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** `96 %`, `1.6 %`. */
export function percent(share: number): string {
  const shown = share * 100;
  return `${shown < 10 ? shown.toFixed(1) : Math.round(shown)} %`;
}

/** `390 ms`, `31 s`, `4 min`, `13 d`. */
export function time(ms: number): string {
  if (ms < 10_000) return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.floor(ms / 86_400_000)} d`;
}

/** `212 MiB`. */
export function size(bytes: number): string {
  const gib = bytes / 2 ** 30;
  if (gib >= 1) return `${gib.toFixed(1)} GiB`;
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
