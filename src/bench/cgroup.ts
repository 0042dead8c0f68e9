// What the control groups of this process leave it: memory and tasks, of version 1 and 2, read where they are mounted.

import type { ReadText } from './read-text.js';

/** What is left, in all groups up to the root that can be seen. Infinity: no group limits it. */
export interface GroupRoom {
  readonly bytes: number;
  readonly tasks: number;
}

/** Version 1 has no word for "unlimited": it is a number near the largest. */
const NO_LIMIT = 2 ** 60;

interface Names {
  readonly most: string;
  readonly used: string;
}
const MEMORY: readonly Names[] = [
  { most: 'memory.max', used: 'memory.current' },
  { most: 'memory.limit_in_bytes', used: 'memory.usage_in_bytes' },
];
const TASKS: readonly Names[] = [{ most: 'pids.max', used: 'pids.current' }];

export function groupRoom(read: ReadText): GroupRoom {
  const folders = groupFolders(read);
  const least = (room: (folder: string) => number) => Math.min(Number.POSITIVE_INFINITY, ...folders.map(room));
  return {
    bytes: least((folder) => room(read, folder, MEMORY) + cacheOf(read, folder)),
    tasks: least((folder) => room(read, folder, TASKS)),
  };
}

/** Pages of files that nobody used lately count as used, and are given up before anything is killed. */
function cacheOf(read: ReadText, folder: string): number {
  return Number(/^(?:total_)?inactive_file (\d+)/m.exec(read(`${folder}/memory.stat`))?.[1] ?? 0);
}

function room(read: ReadText, folder: string, names: readonly Names[]): number {
  for (const { most, used } of names) {
    const text = read(`${folder}/${most}`).trim();
    if (text === '' || text === 'max' || Number(text) >= NO_LIMIT) continue;
    return Math.max(0, Number(text) - Number(read(`${folder}/${used}`)));
  }
  return Number.POSITIVE_INFINITY;
}

/** The folders of the groups that this process is in, each with those above it. */
function groupFolders(read: ReadText): readonly string[] {
  const mounts = read('/proc/self/mountinfo')
    .split('\n')
    .flatMap((line) => {
      const [left = '', right = ''] = line.split(' - ');
      const [type, , options = ''] = right.split(' ');
      const fields = left.split(' ');
      if (type !== 'cgroup' && type !== 'cgroup2') return [];
      return [
        { controllers: type === 'cgroup2' ? [''] : options.split(','), root: fields[3] ?? '/', at: fields[4] ?? '' },
      ];
    });
  return read('/proc/self/cgroup')
    .split('\n')
    .flatMap((line) => {
      const [, controllers = '', path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
      const mount = mounts.find((one) => controllers.split(',').some((name) => one.controllers.includes(name)));
      if (mount === undefined || path === undefined) return [];
      // In a container the mount shows its own group as the root, whatever the path says.
      const below = path.startsWith(mount.root) ? path.slice(mount.root.length) : '';
      const steps = below.split('/').filter((step) => step !== '' && step !== '..');
      return [...steps.keys(), steps.length].map((depth) => [mount.at, ...steps.slice(0, depth)].join('/'));
    });
}
