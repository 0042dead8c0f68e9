// `imgo token create`: a token for a user, or one for each of many.

import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../../cli/base.js';
import { durationOf, REPEATABLE } from '../../cli/flags.js';
import { createTokens } from '../../cli/tokens.js';
import { ImgoError } from '../../protocol/errors.js';

export default class TokenCreate extends BaseCommand {
  static override summary = 'Make a token, with which a client connects as a user';
  static override description = 'The token is printed once and kept nowhere. Needs a key with the scope token.';
  static override flags = {
    user: Flags.string({ helpValue: 'U', exclusive: ['users-file'], summary: 'the user that the client will be' }),
    'users-file': Flags.string({ helpValue: 'F', summary: 'users, one a line, - is stdin: prints NDJSON' }),
    ttl: Flags.string({ helpValue: 'D', summary: 'how long it is good (auth.token_ttl, 30d)' }),
    device: Flags.string({ helpValue: 'D', summary: 'its sessions are this device of the user' }),
    room: Flags.string({
      helpValue: 'R',
      ...REPEATABLE,
      summary: 'rooms that it may join; a * at the end is any ending; repeatable',
    }),
  };
  static override examples = [
    { description: 'For a user, for a day', command: '<%= config.bin %> token create --user 123456 --ttl 1d' },
    { description: 'With rooms', command: '<%= config.bin %> token create --user 123456 --room "live://*"' },
    { description: 'For many', command: '<%= config.bin %> token create --users-file users.txt > tokens.ndjson' },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(TokenCreate);
    const output = this.outputFor(flags);
    durationOf('ttl', flags.ttl);
    const { user, 'users-file': file, ttl, device, room } = flags;
    if (user === undefined && file === undefined) {
      throw new ImgoError('usage', { detail: 'For whom? Give --user or --users-file.', command: 'token create' });
    }
    const api = await this.apiFor(flags, output);
    const rest = { ...(ttl && { ttl }), ...(device && { device }), ...(room && { rooms: room }) };
    await createTokens(api, user === undefined ? { file: file ?? '-' } : { user }, rest, output);
  }
}
