// `imgo rooms`: rooms that somebody is in; or one room.

import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { listRooms, showRoom } from '../cli/presence.js';

export default class Rooms extends BaseCommand {
  static override summary = 'List rooms and their members, or look at one';
  static override args = {
    room: Args.string({ ignoreStdin: true, description: 'this room only, with what is kept of it' }),
  };
  static override flags = {
    prefix: Flags.string({ helpValue: 'P', summary: 'whose names begin with it' }),
    limit: Flags.integer({ helpValue: 'N', default: 1_000, min: 1, summary: 'at most so many' }),
    cursor: Flags.string({ helpValue: 'C', summary: 'go on where an earlier listing ended' }),
  };
  static override examples = [
    { description: 'All', command: '<%= config.bin %> rooms' },
    { description: 'One', command: '<%= config.bin %> rooms live://1000' },
  ];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(Rooms);
    const output = this.outputFor(flags);
    const api = await this.apiFor(flags, output);
    const { prefix, limit, cursor } = flags;
    if (args.room !== undefined) return showRoom(api, args.room, output);
    await listRooms(api, { prefix, limit, cursor }, output);
  }
}
