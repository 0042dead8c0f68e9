// `imgo init [TEMPLATE] [DIR]`: files to start from, for a machine, a cluster, a proxy, a migration.

import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { init, listTemplates } from '../cli/init/init.js';

export default class Init extends BaseCommand {
  static override summary = 'Write files to start from: units, containers, proxies, settings, migrations';
  static override description = 'Without TEMPLATE it lists what there is. A file that is there is never written over.';
  static override args = {
    template: Args.string({ ignoreStdin: true, description: 'as the list names it' }),
    dir: Args.string({
      ignoreStdin: true,
      description: 'folder to write to; made if need be (the name of the template)',
    }),
  };
  static override flags = {
    'dry-run': Flags.boolean({ summary: 'list what would be written, write nothing' }),
  };
  static override examples = [
    { description: 'What is there?', command: '<%= config.bin %> init' },
    { description: 'Every setting, in a file of its own', command: '<%= config.bin %> init config .' },
    { description: 'What would be written?', command: '<%= config.bin %> init kubernetes deploy --dry-run' },
  ];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(Init);
    const output = this.outputFor(flags);
    if (args.template === undefined) return listTemplates(output);
    await init(args.template, args.dir ?? args.template, flags['dry-run'], output);
  }
}
