// Rows of the error table that the machine is the reason of: a part of error-table.ts, in a file of its own for its length.

import { Exit, retry } from './error-row.js';

/** What a machine runs short of. */
export const MACHINE = {
  fd_limit: retry(
    503,
    Exit.RUNTIME,
    '{node} stops accepting: {used} of {cap} descriptors. {sessions} sessions go on.',
    'Every connection takes a file descriptor, and some are kept back for the rest of the server.',
    ['LimitNOFILE=1048576 in the unit', 'imgo serve --workers auto', 'accepts again below {resume}'],
  ),
  tcp_memory: retry(
    503,
    Exit.RUNTIME,
    'TCP buffers of this machine take {used}, above the {pressure} where the kernel presses on them ({limit} is all).',
    'All sockets of a machine share this memory. When it is short the kernel takes less from everybody: clients receive late, and nothing is lost.',
    ['sysctl -w net.ipv4.tcp_mem="{wanted}"', 'clients that do not read hold the most of it: limits.lag'],
  ),
} as const;
