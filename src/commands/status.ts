// `imgo status`: one verdict, for people and for scripts.

import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { durationOf } from '../cli/flags.js';
import { status } from '../cli/health.js';

export default class Status extends BaseCommand {
  static override summary =
    'Say whether the server is well: exit 0, 1 when something is wrong, 3 when it does not answer';
  static override flags = {
    wait: Flags.string({ helpValue: '30s', summary: 'until it is well, at most so long' }),
  };
  static override examples = [
    { description: 'Now', command: '<%= config.bin %> status' },
    { description: 'In a script, after a start', command: '<%= config.bin %> status --wait 30s --quiet' },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(Status);
    const output = this.outputFor(flags);
    await status(() => this.apiFor(flags, output), durationOf('wait', flags.wait), output);
  }
}
