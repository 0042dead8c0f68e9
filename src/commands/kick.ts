// `imgo kick`: closes a session, or all of a user.

import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { kick } from '../cli/presence.js';
import { ImgoError } from '../protocol/errors.js';

export default class Kick extends BaseCommand {
  static override summary = 'Close a session, or all sessions of a user';
  static override args = { session: Args.string({ ignoreStdin: true, description: 'as sessions prints it' }) };
  static override flags = { user: Flags.string({ helpValue: 'U', summary: 'all sessions of this user' }) };
  static override examples = [
    { description: 'All of a user', command: '<%= config.bin %> kick --user 123456' },
    { description: 'One', command: '<%= config.bin %> kick s_0123456789abcdef' },
  ];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(Kick);
    const output = this.outputFor(flags);
    if ((args.session === undefined) === (flags.user === undefined)) {
      throw new ImgoError('usage', { detail: 'Give a session, or --user.', command: 'kick' });
    }
    const api = await this.apiFor(flags, output);
    await kick(api, args.session === undefined ? { user: flags.user ?? '' } : { session: args.session }, output);
  }
}
