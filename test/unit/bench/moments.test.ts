// The machine second by second: shares of the time since the last look, counts since the run began.
import { expect, it } from 'vitest';
import { MachineWatch } from '../../../src/bench/moments.js';

const at = (parts: { cpu: string; swap: number; drops: number; again: number; pages: number }) => ({
  '/proc/stat': `cpu  ${parts.cpu}\ncpu0 1 1 1 1 1 1 1 1 0 0\n`,
  '/proc/vmstat': `nr_free_pages 5\npswpin ${parts.swap}\npswpout ${parts.swap}\n`,
  '/proc/meminfo': 'MemTotal:  100 kB\nMemAvailable:  60 kB\n',
  '/proc/net/sockstat': `sockets: used 20\nTCP: inuse 4 orphan 0 tw 0 alloc 4 mem ${parts.pages}\nUDP: inuse 0 mem 7\n`,
  '/proc/net/netstat': `TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 9 ${parts.drops} ${parts.drops}\nIpExt: A\nIpExt: 1\n`,
  '/proc/net/snmp': `Ip: Forwarding\nIp: 1\nTcp: ActiveOpens RetransSegs\nTcp: 8 ${parts.again}\n`,
});

it('tells what happened since the run began, and how idle the last second was', () => {
  let files: Readonly<Record<string, string>> = at({
    cpu: '100 0 100 700 100 0 0 0 50 0',
    swap: 10,
    drops: 5,
    again: 50,
    pages: 3,
  });
  const watch = new MachineWatch((path) => files[path] ?? '');
  // Of 200 ticks: 60 user, 40 system, 70 idle, 10 waiting, 20 stolen; what guests did is user time already.
  files = at({ cpu: '160 0 140 770 110 0 0 20 90 0', swap: 11, drops: 7, again: 53, pages: 1_000 });
  expect(watch.moment()).toEqual({
    idle: 0.4,
    steal: 0.1,
    availableBytes: 60 * 1_024,
    swappedBytes: 2 * 4_096,
    tcpMemBytes: 1_000 * 4_096,
    listenDrops: 2,
    retransmits: 3,
  });
  files = at({ cpu: '160 0 140 870 110 0 0 20 90 0', swap: 11, drops: 7, again: 54, pages: 0 });
  expect(watch.moment()).toMatchObject({ idle: 1, steal: 0, swappedBytes: 2 * 4_096, listenDrops: 2, retransmits: 4 });
});

it('a system that tells nothing is all zeros; this one has memory', () => {
  const silent = new MachineWatch(() => '').moment();
  expect(Object.values(silent)).toEqual([0, 0, 0, 0, 0, 0, 0]);
  expect(new MachineWatch().moment().availableBytes).toBeGreaterThan(0);
});
