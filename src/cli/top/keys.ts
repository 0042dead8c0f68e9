// The keys of `imgo top`, in the order in which they stand on its last line.

import type { KeyHelp } from '../tui/keys.js';

export const KEYS: readonly KeyHelp[] = [
  { key: 'q', word: 'quit', does: 'ends top; Ctrl-C, too' },
  {
    key: '1-7',
    word: 'views',
    does: '1 nodes, 2 rooms, 3 users, 4 sessions, 5 queue, 6 limits, 7 alerts',
  },
  { key: 'enter', word: 'open', does: 'goes into a node, a room, a user or a session' },
  { key: 'esc', word: 'back', does: 'comes back; where nothing was opened, takes the filter away' },
  { key: 's', word: 'sort', does: 'the next order of the table' },
  { key: '/', word: 'filter', does: 'only rows with this in their names; in users: any user by id' },
  { key: 'p', word: 'pause', does: 'holds what is shown (also space)' },
  { key: 'a', word: 'alerts', does: 'all alerts, with what to do' },
  { key: 't', word: 'tail', does: 'the frames of what is selected, live' },
  { key: 'K', word: 'kick', does: 'closes the session, or all of the user, after a yes' },
  { key: 'D', word: 'drain', does: 'has the clients of a comet move to others, or calls it off, after a yes' },
  { key: '↑↓', word: 'move', does: 'also j and k, PgUp and PgDn, Home and End' },
];

/** What figures mean that do not say it themselves. */
export const HELP: readonly string[] = [
  'FD and LOOP99 of a node are those of its worst process. Figures a second are those of the last interval.',
  'GAP IN: when a slow session loses messages, or is closed, if it goes on like this.',
  'RING USED: how much of what a room keeps in memory passes during one sweep; near 100 % members get gaps.',
];
