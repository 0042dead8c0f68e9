// Reads what `strace -f -y` wrote, and judges it: did any answer or delivery leave before its message was synced?
//
// A commit of lmdb is synced when, in this order, its pages were written to store.mdb, an fdatasync (or fsync, msync) of
// store.mdb returned 0, and the meta page, written through a descriptor opened with O_DSYNC, returned: only then does a
// crash find the new tree. A message is synced with the first commit one of whose pages contained its marker.
//
// Calls of several threads interleave. What one thread does because of what another did is logged in that order, because
// a traced thread does not go on before its call is logged.

interface Call {
  readonly name: string;
  /** What the descriptor is: a path, or `socket:[…]`. */
  readonly target: string;
  readonly args: string;
  /** Line at which it was entered, and at which it had returned. */
  readonly begun: number;
  readonly returned: number;
  /** Negative: it failed. */
  readonly result: number;
}

/** A message that was pushed and answered. */
export interface Pushed {
  /** Unique in its payload; printable, nothing that strace escapes. */
  readonly marker: string;
  /** What the answer contains. */
  readonly id: string;
}

export interface Verdict {
  readonly commits: number;
  /** Answers, and pushes to clients, that were found in the trace. */
  readonly answers: number;
  readonly deliveries: number;
  /** What left too early, or cannot be judged. */
  readonly problems: readonly string[];
}

const SYNCS = new Set(['fdatasync', 'fsync', 'msync', 'sync_file_range']);
const WRITES = new Set(['write', 'writev', 'pwrite64', 'pwritev', 'pwritev2', 'sendto', 'sendmsg', 'sendmmsg']);

/** Every call in the trace, in the order of their returns. */
export function parseTrace(text: string): readonly Call[] {
  const calls: Call[] = [];
  const unfinished = new Map<string, { readonly name: string; readonly args: string; readonly begun: number }>();
  for (const [line, row] of text.split('\n').entries()) {
    const [, thread = '', rest = ''] = /^(\d+)\s+(.*)$/.exec(row) ?? [];
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest);
    const entered = /^(\w+)\((.*)$/.exec(rest);
    if (resumed !== null) {
      const begin = unfinished.get(thread);
      unfinished.delete(thread);
      if (begin === undefined) continue;
      calls.push(call(begin.name, `${begin.args}${resumed[2]}`, begin.begun, line));
    } else if (entered !== null) {
      const [, name = '', args = ''] = entered;
      const cut = / ?<unfinished \.\.\.>$/;
      if (cut.test(args)) unfinished.set(thread, { name, args: args.replace(cut, ''), begun: line });
      else calls.push(call(name, args, line, line));
    }
  }
  return calls;
}

function call(name: string, args: string, begun: number, returned: number): Call {
  const target = /^\d+<([^>]*)>/.exec(args)?.[1] ?? '';
  const result = Number(/= (-?\d+)[^=]*$/.exec(args)?.[1] ?? Number.NaN);
  return { name, target, args, begun, returned, result };
}

/** Judges a trace. `store`: the path of store.mdb. */
export function judge(trace: string, store: string, pushed: readonly Pushed[]): Verdict {
  const calls = parseTrace(trace);
  const problems: string[] = [];
  const synchronous = synchronousDescriptors(calls, store);
  const synced = new Map<string, number>();
  let commits = 0;
  let pages: Call[] = [];
  let flushed: Call | undefined;
  for (const each of calls) {
    const isStore = each.target === store;
    if (isStore && SYNCS.has(each.name) && each.result === 0) flushed = each;
    else if (isStore && WRITES.has(each.name) && each.result > 0) {
      if (!synchronous.has(descriptorOf(each))) {
        pages.push(each);
        continue;
      }
      if (flushed === undefined || flushed.returned >= each.begun) continue;
      commits++;
      const { begun } = flushed;
      const covered = pages.filter((page) => page.returned < begun);
      pages = pages.filter((page) => page.returned >= begun);
      flushed = undefined;
      for (const { args } of covered) {
        for (const { marker } of pushed)
          if (!synced.has(marker) && args.includes(marker)) synced.set(marker, each.returned);
      }
    }
  }
  const sent = calls.filter(({ name, target }) => WRITES.has(name) && target.startsWith('socket:'));
  let answers = 0;
  let deliveries = 0;
  for (const { marker, id } of pushed) {
    const at = synced.get(marker);
    if (at === undefined) problems.push(`${marker}: no synced commit contains it`);
    const answer = sent.find(({ args }) => args.includes(`${id}\\"`) && !args.includes(marker));
    if (answer === undefined) problems.push(`${marker}: its answer (${id}) was not seen`);
    else answers++;
    const delivery = sent.find(({ args }) => args.includes(marker));
    if (delivery !== undefined) deliveries++;
    if (at === undefined) continue;
    if (answer !== undefined && answer.begun < at)
      problems.push(`${marker}: answered at line ${answer.begun}, synced at ${at}`);
    if (delivery !== undefined && delivery.begun < at)
      problems.push(`${marker}: delivered at line ${delivery.begun}, synced at ${at}`);
  }
  return { commits, answers, deliveries, problems };
}

/** Descriptors of the store whose every write is a synchronous one. */
function synchronousDescriptors(calls: readonly Call[], store: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const { name, args } of calls) {
    if (name !== 'openat' || !args.includes(`"${store}"`) || !/O_D?SYNC/.test(args)) continue;
    const descriptor = /= (\d+)</.exec(args)?.[1];
    if (descriptor !== undefined) found.add(descriptor);
  }
  return found;
}

function descriptorOf({ args }: Call): string {
  return /^\d+/.exec(args)?.[0] ?? '';
}
