// `imgo bench compare`: two results side by side.

import * as Args from '@oclif/core/args';
import { BaseCommand } from '../../cli/base.js';
import { globalFlags } from '../../cli/flags.js';

/** It reads files: there is no server to name, and no key. */
const { server: _server, 'key-file': _keyFile, ...ownFlags } = globalFlags;

export default class BenchCompare extends BaseCommand {
  static override summary = 'Say what is better or worse in one result of bench than in another';
  static override description =
    'Ratios of the second to the first, each with what it may be off by chance: what lies within that is no difference. Runs of different plans or machines are compared where that says something, and are said to differ.';
  static override baseFlags = ownFlags as typeof globalFlags;
  static override args = {
    a: Args.string({ ignoreStdin: true, required: true, description: 'the earlier result, written by --out' }),
    b: Args.string({ ignoreStdin: true, required: true, description: 'the later one' }),
  };
  static override examples = [
    {
      description: 'Before and after a change',
      command: '<%= config.bin %> bench compare before.json after.json',
    },
  ];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(BenchCompare);
    const { compareFiles } = await import('../../cli/bench/compare.js');
    await compareFiles(args.a, args.b, this.outputFor(flags));
  }
}
