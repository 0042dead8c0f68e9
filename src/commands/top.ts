// `imgo top`: the whole server in one look, and what to do about it.

import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { durationOf, wrongValue } from '../cli/flags.js';
import { VIEWS, type View } from '../cli/top/state.js';

const SHORTEST_MS = 200;

export default class Top extends BaseCommand {
  static override summary = 'Show the whole server live: nodes, rooms, slow sessions, alerts with what to do';
  static override description =
    'On a terminal a view: 1 to 7 change what is shown, Enter opens a node, a room, a user or a session, Esc comes back, ? ' +
    'says all keys. In a pipe, and with --once, the same as text; with --json an object a tick, whose counts only grow.';
  static override flags = {
    view: Flags.string({
      options: [...VIEWS],
      default: 'nodes',
      helpValue: 'VIEW',
      summary: `what is shown first: ${VIEWS.join(', ')}`,
    }),
    sort: Flags.string({ helpValue: 'KEY', summary: 'order of its rows, such as conns, loop or drops of nodes' }),
    filter: Flags.string({ default: '', helpValue: 'TEXT', summary: 'only rows with this in their names' }),
    interval: Flags.string({ default: '1s', helpValue: '1s', summary: 'between two looks' }),
    once: Flags.boolean({ summary: 'one look, as text' }),
  };
  static override examples = [
    { description: 'Live', command: '<%= config.bin %> top' },
    { description: 'One look, the latest event loops first', command: '<%= config.bin %> top --once --sort loop' },
    { description: 'Which sessions are slow', command: '<%= config.bin %> top --view sessions' },
    { description: 'For programs', command: '<%= config.bin %> top --json --interval 10s' },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(Top);
    const output = this.outputFor(flags);
    const intervalMs = durationOf('interval', flags.interval) ?? 1_000;
    if (intervalMs < SHORTEST_MS) throw wrongValue('interval', 'at least 200ms');
    const { view, sort, filter, once } = flags;
    const { top } = await import('../cli/top/run.js');
    const api = await this.apiFor(flags, output);
    await top(api, { view: view as View, sort, filter, intervalMs, once }, output);
  }
}
