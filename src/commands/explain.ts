// `imgo explain CODE`: what an error or disconnect code means, why it happens, and what to do.

import * as Args from '@oclif/core/args';
import { BaseCommand } from '../cli/base.js';
import { explainCode } from '../cli/explain.js';
import { localise } from '../cli/style.js';

export default class Explain extends BaseCommand {
  static override summary = 'Say what an error or disconnect code means, and what to do';
  static override args = {
    code: Args.string({
      ignoreStdin: true,
      required: true,
      description: 'as messages print it, e.g. port_in_use or 4104',
    }),
  };
  static override examples = [
    { description: 'An error', command: '<%= config.bin %> explain key_required' },
    { description: 'Why a client was disconnected', command: '<%= config.bin %> explain 4104' },
  ];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(Explain);
    const output = this.outputFor(flags);
    const explanation = explainCode(args.code);
    if (flags.json) await output.object(explanation.object);
    else await output.raw(localise(explanation.text));
  }
}
