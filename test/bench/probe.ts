// Loaded into every server that is measured (`node --import`): tells over the IPC channel what the process used, and
// collects garbage when asked to. Costs the process one listener.

/** What a process used so far, or holds now; bytes and seconds. */
export interface Usage {
  readonly cpuSeconds: number;
  readonly rss: number;
  /** Resident and private to the process: what is not the mapped store or a program file. */
  readonly anonymous: number;
  readonly heapUsed: number;
  /** What V8 holds for its heap, used or not. */
  readonly heapTotal: number;
  readonly external: number;
}

/** Asks a probe; `collect` runs a full collection before it looks. */
export interface ProbeQuestion {
  readonly probe: number;
  readonly collect: boolean;
}

process.on('message', (message: Partial<ProbeQuestion>) => {
  if (message.probe === undefined) return;
  if (message.collect === true) for (let turn = 0; turn < 3; turn++) globalThis.gc?.();
  void import('node:fs').then(({ readFileSync }) => {
    const { user, system } = process.cpuUsage();
    const { heapUsed, heapTotal, external } = process.memoryUsage();
    const status = readFileSync('/proc/self/status', 'utf8');
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1_024;
    const usage: Usage = {
      cpuSeconds: (user + system) / 1e6,
      rss: field('VmRSS'),
      anonymous: field('RssAnon'),
      heapUsed,
      heapTotal,
      external,
    };
    process.send?.({ probe: message.probe, usage });
  });
});
// The channel alone keeps no process alive that wants to end.
process.channel?.unref();
