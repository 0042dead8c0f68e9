// Who listens on a port of this machine: name and pid, from /proc. Only what this user may see; else "another program".

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** `java (pid 4121)`, or `another program` where that cannot be seen. */
export function portHolder(port: number): string {
  try {
    const inodes = listeningInodes(port);
    if (inodes.size === 0) return 'another program';
    for (const name of readdirSync('/proc')) {
      if (/^\d+$/.test(name) && holds(name, inodes)) return `${programName(name)} (pid ${name})`;
    }
  } catch {
    // No /proc: not Linux.
  }
  return 'another program';
}

/** Inodes of listening sockets on the port, IPv4 and IPv6. */
function listeningInodes(port: number): ReadonlySet<string> {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const found = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readTable(table)) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      // 0A is LISTEN.
      if (state === '0A' && local?.endsWith(wanted) === true && inode !== undefined) found.add(`socket:[${inode}]`);
    }
  }
  return found;
}

function readTable(file: string): readonly string[] {
  try {
    return readFileSync(file, 'latin1').split('\n').slice(1);
  } catch {
    return [];
  }
}

function holds(pid: string, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return inodes.has(readlinkSync(`/proc/${pid}/fd/${fd}`));
      } catch {
        return false;
      }
    });
  } catch {
    return false;
  }
}

/** Not the whole command line: it may hold what is not ours to print. */
function programName(pid: string): string {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    if (words.some((word) => /(^|\/)bin\/imgo(\.js)?$/.test(word))) return 'imgo';
    const program = words[0]?.split('/').at(-1);
    return program || readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return 'a program';
  }
}
