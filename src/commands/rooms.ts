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
    limit: Flags.integer({ helpValue: 'N', default: 1_000, min: 1, summary: 'at most so many' }),
  };
  static override examples = [
    { description: 'All', command: '<%= config.bin %> rooms' },
    { description: 'One', command: '<%= config.bin %> rooms live://1000' },
  ];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(Rooms);
    const output = this.outputFor(flags);
    const api = await this.apiFor(flags, output);
    await (args.room === undefined ? listRooms(api, flags.limit, output) : showRoom(api, args.room, output));
  }
}
