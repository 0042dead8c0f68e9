// `imgo sessions`: who is connected now.

import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { listSessions } from '../cli/presence.js';

export default class Sessions extends BaseCommand {
  static override summary = 'List live sessions: who is connected, how far each has read';
  static override flags = {
    user: Flags.string({ helpValue: 'U', summary: 'of this user' }),
    node: Flags.string({ helpValue: 'N', summary: 'on this node' }),
    room: Flags.string({ helpValue: 'R', summary: 'that are in this room' }),
    limit: Flags.integer({ helpValue: 'N', default: 1_000, min: 1, summary: 'at most so many' }),
    cursor: Flags.string({ helpValue: 'C', summary: 'go on where an earlier listing ended' }),
  };
  static override examples = [
    { description: 'Of a user', command: '<%= config.bin %> sessions --user 123456' },
    { description: 'In a room', command: '<%= config.bin %> sessions --room live://1000 --limit 20' },
    { description: 'All, for programs', command: '<%= config.bin %> sessions --limit 1000000 --json' },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(Sessions);
    const output = this.outputFor(flags);
    const { user, node, room, limit, cursor } = flags;
    await listSessions(await this.apiFor(flags, output), { user, node, room, limit, cursor }, output);
  }
}
