// `imgo token inspect -`: whose a token is and whether it is good. The token comes from a file, stdin or IMGO_TOKEN.

import * as Args from '@oclif/core/args';
import { BaseCommand } from '../../cli/base.js';
import { readToken } from '../../cli/secrets.js';
import { printTokens, type ShownToken } from '../../cli/tokens.js';

export default class TokenInspect extends BaseCommand {
  static override summary = 'Say what a token is, and whether it is good';
  static override args = {
    file: Args.string({ ignoreStdin: true, description: 'file with the token, - is stdin; else IMGO_TOKEN' }),
  };
  static override examples = [
    { description: 'From a file', command: '<%= config.bin %> token inspect - < token.txt' },
    { description: 'From the environment', command: 'IMGO_TOKEN=... <%= config.bin %> token inspect' },
  ];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(TokenInspect);
    const output = this.outputFor(flags);
    const token = readToken(args.file, 'token inspect');
    const api = await this.apiFor(flags, output);
    const body = JSON.stringify({ token });
    const shown = await api.json<ShownToken>({ method: 'POST', path: '/v1/tokens/inspect', body });
    await printTokens([shown], output);
  }
}
