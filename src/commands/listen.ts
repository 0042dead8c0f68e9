// `imgo listen`: a client on the terminal.

import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { durationOf, REPEATABLE } from '../cli/flags.js';
import { readListenOptions } from '../cli/listen/options.js';

export default class Listen extends BaseCommand {
  static override summary = 'Receive messages as a client does, and print them';
  static override description =
    'With --user it makes itself a token (scope token) and revokes it at the end. Otherwise the token comes from a file or IMGO_TOKEN.';
  static override flags = {
    user: Flags.string({ helpValue: 'U', exclusive: ['token-file'], summary: 'as this user' }),
    'token-file': Flags.string({ helpValue: 'F', summary: 'with the token in this file, - is stdin; else IMGO_TOKEN' }),
    room: Flags.string({
      ...REPEATABLE,
      helpValue: 'R',
      summary: 'also this room; repeatable',
    }),
    device: Flags.string({ helpValue: 'D', summary: 'as this device, which has its own position' }),
    from: Flags.string({
      helpValue: 'kept|new|ID',
      default: 'kept',
      summary: 'where to begin: at what is kept, at what comes, after an id',
    }),
    ack: Flags.option({ options: ['auto', 'none'] as const })({
      default: 'auto',
      helpValue: 'auto|none',
      summary: 'none: what is printed stays kept',
    }),
    transport: Flags.option({ options: ['ws', 'tcp'] as const })({
      helpValue: 'ws|tcp',
      summary: 'ws where the server has it',
    }),
    dialect: Flags.option({ options: ['native', 'imgo', 'goim'] as const })({
      default: 'native',
      helpValue: 'native|imgo|goim',
      summary: 'as which kind of client',
    }),
    count: Flags.integer({ char: 'n', helpValue: 'N', min: 1, summary: 'end after N messages' }),
    timeout: Flags.string({ helpValue: 'D', summary: 'end after this time; exit 124' }),
    'no-reconnect': Flags.boolean({ summary: 'end when the connection does' }),
  };
  static override examples = [
    { description: 'As a user', command: '<%= config.bin %> listen --user 123456' },
    {
      description: 'One message of a room, or none within 10 s',
      command: '<%= config.bin %> listen --user 1 --room live://1000 -n 1 --timeout 10s',
    },
    { description: 'With a token, for a program', command: 'IMGO_TOKEN=... <%= config.bin %> listen --json' },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(Listen);
    const output = this.outputFor(flags);
    const timeoutMs = durationOf('timeout', flags.timeout);
    const options = await readListenOptions({ ...flags, timeoutMs }, () => this.apiFor(flags, output));
    const { listen } = await import('../cli/listen/listen.js');
    await listen(options, output);
  }
}
