// `imgo kick`: closes a session, all of a user, or those of a token.

import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { kick } from '../cli/presence.js';
import { ImgoError } from '../protocol/errors.js';

export default class Kick extends BaseCommand {
  static override summary = 'Close a session, all sessions of a user, or those of a token';
  static override args = { session: Args.string({ ignoreStdin: true, description: 'as sessions prints it' }) };
  static override flags = {
    user: Flags.string({ helpValue: 'U', summary: 'all sessions of this user' }),
    token: Flags.string({ helpValue: 'ID', summary: 'those of this token, by its id; it stays good' }),
  };
  static override examples = [
    { description: 'All of a user', command: '<%= config.bin %> kick --user 123456' },
    { description: 'One', command: '<%= config.bin %> kick s_0123456789abcdef' },
  ];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(Kick);
    const output = this.outputFor(flags);
    const { session } = args;
    const { user, token } = flags;
    if ([session, user, token].filter((one) => one !== undefined).length !== 1) {
      throw new ImgoError('usage', { detail: 'Give a session, --user or --token: one of them.', command: 'kick' });
    }
    const api = await this.apiFor(flags, output);
    const which = session !== undefined ? { session } : user !== undefined ? { user } : { token: token ?? '' };
    await kick(api, which, output);
  }
}
