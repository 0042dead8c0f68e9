// `imgo drain NODE`: clients move off a node, paced.

import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { cancelDrain, drain } from '../cli/drain.js';
import { perSecondOf } from '../cli/flags.js';

export default class Drain extends BaseCommand {
  static override summary = 'Have the clients of a node move to others, and take no new ones';
  static override description =
    'Native clients are told when to come back; legacy ones are closed. Each half second it prints how many are left. ' +
    'Ctrl-C calls it off: the node takes connections again.';
  static override args = {
    node: Args.string({ required: true, ignoreStdin: true, description: 'as nodes prints it' }),
  };
  static override flags = {
    rate: Flags.string({ helpValue: 'N/s', summary: 'clients a second (drain.rate of the server)' }),
    cancel: Flags.boolean({ exclusive: ['rate'], summary: 'call an earlier one off' }),
  };
  static override examples = [
    { description: 'Before a restart', command: '<%= config.bin %> drain c1' },
    { description: 'Gently', command: '<%= config.bin %> drain c1 --rate 100/s' },
  ];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(Drain);
    const output = this.outputFor(flags);
    const rate = flags.rate === undefined ? undefined : perSecondOf('rate', flags.rate);
    const api = await this.apiFor(flags, output);
    if (flags.cancel) return cancelDrain(api, args.node, output);
    await drain(api, args.node, rate, output);
  }
}
