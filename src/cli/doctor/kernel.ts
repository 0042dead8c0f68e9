/**
 * What the kernel and the control groups allow: read from /proc and /sys, changed nowhere. Each check says what is there and,
 * for a target, what that needs; what a line of a file could change comes as that line.
 */
import { workerDescriptors, workersFor } from '../../bench/layout.js';
import { FILES, round, serverBytes, THREADS } from '../../bench/limits.js';
import type { Machine } from '../../bench/machine.js';
import type { ReadText } from '../../bench/read-text.js';
import { bytes, type Finding, many } from './finding.js';
import type { Target } from './target.js';

const PAGE_BYTES = 4_096;
/** What comets ask for at each listener. */
const BACKLOG = 4_096;
/** Half open connections of a crowd that comes back at once. */
const SYN_BACKLOG = 1_024;
const SYN_BACKLOG_OF_MANY = 8_192;
const MANY = 100_000;
/** A range of ports that a proxy or a bench on this machine soon has used up; and what there is to have. */
const FEW_PORTS = 10_000;
const MOST_PORTS = 50_000;
/** Of the memory of all sockets, for one client in a hundred that does not read. */
const SLOW_SHARE = 0.01;
const LEAST_MEMORY = 512 * 2 ** 20;
const SWAPPINESS = 10;

/** All of them, in the order in which they are shown. */
export function kernelFindings(machine: Machine, read: ReadText, target: Target | undefined): readonly Finding[] {
  return [
    descriptors(machine, read, target),
    files(machine, target),
    memory(machine, target),
    tasks(machine, target),
    backlog(machine),
    halfOpen(machine, target),
    tracked(machine, read, target),
    ports(machine, target),
    socketMemory(machine, target),
    writeBuffers(machine, read, target),
    swap(read),
  ];
}

function descriptors({ descriptors: limit }: Machine, read: ReadText, target: Target | undefined): Finding {
  const name = 'descriptors';
  const found = `${many(limit)} a process (hard limit)`;
  const opens = Number(read('/proc/sys/fs/nr_open').trim() || Number.POSITIVE_INFINITY);
  if (target === undefined) {
    if (limit >= FEW_PORTS) return { name, state: 'ok', found };
    const advice = ['LimitNOFILE in the unit, or ulimit -Hn; or --workers N: each process has its own'];
    return { name, state: 'warning', found, needed: `${many(65_536)} or more`, advice, unit: ['LimitNOFILE=1048576'] };
  }
  const { connections, workers, fixed, apart } = target;
  const each = workerDescriptors(workers, connections);
  const processes = workers === 1 ? 'one process' : `${many(workers)} processes`;
  if (limit >= each) return { name, state: 'ok', found: `${found}; ${processes} need ${many(each)} each` };
  const wanted = Math.max(65_536, round(each));
  const auto = workersFor(limit, connections);
  const enough = apart
    ? `${many(auto)} comets, each with ports and a cluster.node of its own, have enough`
    : `imgo serve --workers auto --max-conns ${connections}: ${many(auto)} processes have enough`;
  return {
    name,
    state: 'error',
    found,
    needed: `${many(each)} each for ${many(connections)} connections in ${processes}`,
    advice: [...(fixed ? [enough] : []), 'the lines below'],
    unit: [`LimitNOFILE=${wanted}`],
    ...(opens < wanted ? { sysctl: [`fs.nr_open = ${wanted}`] } : {}),
  };
}

function files({ files: most, openFiles }: Machine, target: Target | undefined): Finding {
  const name = 'open files';
  const found = `${many(most)} for the machine, ${many(openFiles)} open`;
  const needed = openFiles + (target === undefined ? 0 : target.connections + (target.workers + 1) * FILES);
  if (most >= needed && (target !== undefined || most - openFiles > FEW_PORTS)) return { name, state: 'ok', found };
  const wanted = Math.max(needed, openFiles + 65_536);
  return {
    name,
    state: target === undefined ? 'warning' : 'error',
    found,
    needed: many(wanted),
    sysctl: [`fs.file-max = ${round(wanted)}`],
  };
}

function memory({ availableBytes, memoryBound }: Machine, target: Target | undefined): Finding {
  const name = 'memory';
  const group = memoryBound === 'cgroup';
  const found = `${bytes(availableBytes)} free${group ? ' in the control group' : ''}`;
  const needed =
    target === undefined ? LEAST_MEMORY : serverBytes(target.transport, target.workers + 1, target.connections);
  if (availableBytes >= needed) {
    return { name, state: 'ok', found: target === undefined ? found : `${found}; ${bytes(needed)} are needed` };
  }
  return {
    name,
    state: target === undefined ? 'warning' : 'error',
    found,
    needed: bytes(needed),
    advice: [group ? 'a higher limit of the control group (memory.max)' : 'a machine with more, or fewer connections'],
    ...(group ? { unit: [`MemoryMax=${Math.ceil(needed / 2 ** 20)}M`] } : {}),
  };
}

function tasks({ threads, threadBound }: Machine, target: Target | undefined): Finding {
  const name = 'tasks';
  const needed = THREADS * ((target?.workers ?? 1) + 1);
  const found = `${many(threads)} more (${threadBound})`;
  if (threads >= needed) return { name, state: 'ok', found };
  const group = threadBound === 'pids.max';
  return {
    name,
    state: 'error',
    found,
    needed: many(needed),
    advice: [group ? 'a higher limit of the control group (pids.max)' : `a higher ${threadBound}`],
    ...(group ? { unit: [`TasksMax=${round(needed * 2)}`] } : { sysctl: [`${threadBound} = ${round(needed * 2)}`] }),
  };
}

function backlog({ somaxconn }: Machine): Finding {
  const name = 'somaxconn';
  const found = `${many(somaxconn)} connections may wait to be accepted`;
  if (somaxconn >= BACKLOG) return { name, state: 'ok', found };
  return {
    name,
    state: 'warning',
    found,
    needed: `${many(BACKLOG)}: clients that come back at once are refused otherwise`,
    sysctl: [`net.core.somaxconn = ${BACKLOG}`],
  };
}

function halfOpen({ synBacklog }: Machine, target: Target | undefined): Finding {
  const name = 'tcp_max_syn_backlog';
  const needed = target !== undefined && target.connections >= MANY ? SYN_BACKLOG_OF_MANY : SYN_BACKLOG;
  const found = `${many(synBacklog)} connections may be half open`;
  if (synBacklog >= needed) return { name, state: 'ok', found };
  return {
    name,
    state: 'warning',
    found,
    needed: many(needed),
    sysctl: [`net.ipv4.tcp_max_syn_backlog = ${needed}`],
  };
}

function tracked({ conntrack }: Machine, read: ReadText, target: Target | undefined): Finding {
  const name = 'conntrack';
  if (!Number.isFinite(conntrack)) return { name, state: 'ok', found: 'connections are not tracked' };
  const most = Number(read('/proc/sys/net/netfilter/nf_conntrack_max').trim());
  const found = `${many(conntrack)} of ${many(most)} connections can still be tracked`;
  const needed = target?.connections ?? Math.ceil(most / 10);
  if (conntrack >= needed) return { name, state: 'ok', found };
  const wanted = round(most - conntrack + needed * (target === undefined ? 10 : 1.1));
  return {
    name,
    state: target === undefined ? 'warning' : 'error',
    found,
    needed: `${many(needed)}: the kernel drops packets of new ones when the table is full`,
    advice: ['or a rule that does not track the ports of clients (notrack)'],
    sysctl: [`net.netfilter.nf_conntrack_max = ${wanted}`],
  };
}

function ports({ sourcePorts }: Machine, target: Target | undefined): Finding {
  const name = 'ephemeral ports';
  const needed = target !== undefined && target.connections > sourcePorts ? MOST_PORTS : FEW_PORTS;
  const found = `${many(sourcePorts)} from one address to another`;
  if (sourcePorts >= needed) return { name, state: 'ok', found };
  return {
    name,
    state: 'warning',
    found,
    needed: `${many(needed)}, where a proxy or a bench on this machine opens connections to imgo`,
    sysctl: ['net.ipv4.ip_local_port_range = 10240 65535'],
  };
}

/** A page for each connection: what a client of a busy room has not read yet. */
function socketMemory({ tcpPressureBytes, tcpMemBytes }: Machine, target: Target | undefined): Finding {
  const name = 'tcp_mem';
  const found = `${bytes(tcpMemBytes)} for all sockets, pressed from ${bytes(tcpPressureBytes)} on`;
  const pages = target?.connections ?? 0;
  if (tcpMemBytes >= pages * PAGE_BYTES) return { name, state: 'ok', found };
  const high = round(pages);
  return {
    name,
    state: 'warning',
    found,
    needed: `${bytes(pages * PAGE_BYTES)}: a page a connection`,
    sysctl: [`net.ipv4.tcp_mem = ${[high / 2, (high * 3) / 4, high].map(Math.round).join(' ')}`],
  };
}

/** What clients that do not read may have waiting in the kernel, each, before that is all that sockets may use. */
function writeBuffers({ tcpMemBytes }: Machine, read: ReadText, target: Target | undefined): Finding {
  const name = 'tcp buffers';
  const of = (file: string) => read(`/proc/sys/net/ipv4/${file}`).trim().split(/\s+/).map(Number);
  const [least = 4_096, initial = 16_384, most = Number.NaN] = of('tcp_wmem');
  const [, , mostRead = Number.NaN] = of('tcp_rmem');
  if (Number.isNaN(most)) return { name, state: 'ok', found: 'cannot be read here' };
  const found = `${bytes(most)} to write (tcp_wmem), ${bytes(mostRead)} to read (tcp_rmem) at most`;
  if (target === undefined) return { name, state: 'ok', found };
  const room = Math.max(tcpMemBytes, target.connections * PAGE_BYTES) / 2;
  const slow = Math.max(1, target.connections * SLOW_SHARE);
  if (slow * most <= room) return { name, state: 'ok', found };
  const fits = Math.max(65_536, 2 ** Math.floor(Math.log2(room / slow)));
  if (fits >= most) return { name, state: 'ok', found };
  return {
    name,
    state: 'warning',
    found,
    needed: `tcp_wmem of ${bytes(fits)} at most: one slow reader in a hundred has all sockets pressed otherwise`,
    sysctl: [`net.ipv4.tcp_wmem = ${least} ${Math.min(initial, fits)} ${fits}`],
  };
}

function swap(read: ReadText): Finding {
  const name = 'swap';
  const total = Number(/^SwapTotal:\s+(\d+) kB/m.exec(read('/proc/meminfo'))?.[1] ?? 0) * 1_024;
  const swappiness = Number(read('/proc/sys/vm/swappiness').trim() || 0);
  if (total === 0) return { name, state: 'ok', found: 'none' };
  const found = `${bytes(total)}, swappiness ${swappiness}`;
  if (swappiness <= SWAPPINESS) return { name, state: 'ok', found };
  return {
    name,
    state: 'warning',
    found,
    needed: `swappiness ${SWAPPINESS} or less: every client of a process waits for each page that comes back from disk`,
    advice: ['or MemorySwapMax=0 in the unit'],
    sysctl: ['vm.swappiness = 1'],
  };
}
