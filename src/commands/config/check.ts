// `imgo config check`: reads the configuration as `serve` would, and says whether it is one.

import { BaseCommand } from '../../cli/base.js';
import { configFlags, loadFromFlags } from '../../cli/serve/config-flags.js';

export default class ConfigCheck extends BaseCommand {
  static override summary = 'Check the configuration without starting anything';
  static override flags = configFlags;
  static override examples = [
    { description: 'The file here, and the environment', command: '<%= config.bin %> config check' },
    { description: 'Another file', command: '<%= config.bin %> config check --config prod.toml' },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(ConfigCheck);
    const output = this.outputFor(flags);
    const { file, settings } = await loadFromFlags(flags);
    const changed = settings.filter((setting) => setting.origin !== 'default').length;
    if (flags.json) await output.object({ valid: true, file: file ?? null, changed });
    else
      output.note(
        `${file ?? 'No imgo.toml here: defaults'}: valid, ${changed} of ${settings.length} settings changed.`,
      );
  }
}
