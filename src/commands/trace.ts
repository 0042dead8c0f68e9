// `imgo trace LOG@ID`: the life of one message.

import * as Args from '@oclif/core/args';
import { BaseCommand } from '../cli/base.js';
import { messageName } from '../cli/message/name.js';
import { printTrace } from '../cli/message/trace.js';

export default class Trace extends BaseCommand {
  static override summary =
    'Say what became of a message, step by step: accepted, applied, notified, written, acknowledged';
  static override description =
    'Steps are noted of messages that were pushed with --trace, or sampled (observe.trace_sample), for an hour. Of the ' +
    'others the log and the cursors of devices tell what they can. The last line is the verdict.';
  static override args = {
    message: Args.string({ required: true, ignoreStdin: true, description: 'LOG@ID, as push prints it' }),
  };
  static override examples = [
    { description: 'Of a user', command: '<%= config.bin %> trace user:123456@1-42' },
    {
      description: 'Push, and see what becomes of it',
      command: `<%= config.bin %> push --user 123456 '{"test":1}' --trace`,
    },
  ];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(Trace);
    const name = messageName(args.message);
    const output = this.outputFor(flags);
    await printTrace(await this.apiFor(flags, output), name, output);
  }
}
