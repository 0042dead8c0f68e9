// `imgo token list`: tokens by id, without their secrets.

import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../../cli/base.js';
import { listTokens } from '../../cli/tokens.js';

export default class TokenList extends BaseCommand {
  static override summary = 'List tokens: whose, until when, in which state';
  static override flags = { user: Flags.string({ helpValue: 'U', summary: 'of this user only' }) };
  static override examples = [
    { description: 'Of a user', command: '<%= config.bin %> token list --user 123456' },
    { description: 'All, for programs', command: '<%= config.bin %> token list --json' },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(TokenList);
    const output = this.outputFor(flags);
    await listTokens(await this.apiFor(flags, output), flags.user, output);
  }
}
