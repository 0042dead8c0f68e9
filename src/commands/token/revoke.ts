// `imgo token revoke`: ends a token, or all of a user; their sessions are closed.

import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../../cli/base.js';
import { revokeTokens } from '../../cli/tokens.js';
import { ImgoError } from '../../protocol/errors.js';

export default class TokenRevoke extends BaseCommand {
  static override summary = 'Revoke a token, or all of a user, and close their sessions';
  static override args = {
    id: Args.string({ ignoreStdin: true, description: 'the id that create and list print; not the token' }),
  };
  static override flags = { user: Flags.string({ helpValue: 'U', summary: 'all tokens of this user' }) };
  static override examples = [
    { description: 'One', command: '<%= config.bin %> token revoke t_4f2a' },
    { description: 'All of a user', command: '<%= config.bin %> token revoke --user 123456' },
  ];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(TokenRevoke);
    const output = this.outputFor(flags);
    const { id } = args;
    const { user } = flags;
    if ((id === undefined) === (user === undefined)) {
      throw new ImgoError('usage', { detail: 'Give the id of a token, or --user.', command: 'token revoke' });
    }
    const api = await this.apiFor(flags, output);
    await revokeTokens(api, id === undefined ? { user: user ?? '' } : { id }, output);
  }
}
