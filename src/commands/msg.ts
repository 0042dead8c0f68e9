// `imgo msg LOG@ID`: one message as its log has it.

import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { messageName } from '../cli/message/name.js';
import { showMessage } from '../cli/message/show.js';

export default class Msg extends BaseCommand {
  static override summary = 'Look at one message: size, age, time left, which devices took it';
  static override args = {
    message: Args.string({ required: true, ignoreStdin: true, description: 'LOG@ID, as push prints it' }),
  };
  static override flags = {
    payload: Flags.boolean({ summary: 'also what it says, where observe.payloads allows it' }),
  };
  static override examples = [
    { description: 'Of a user', command: '<%= config.bin %> msg user:123456@1-42' },
    { description: 'Of a room', command: '<%= config.bin %> msg room:live://1000@1-7 --json' },
  ];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(Msg);
    const name = messageName(args.message);
    const output = this.outputFor(flags);
    await showMessage(await this.apiFor(flags, output), name, flags.payload, output);
  }
}
