// `imgo config show`: every setting with its value and where it came from.

import { BaseCommand } from '../../cli/base.js';
import { configFlags, loadFromFlags } from '../../cli/serve/config-flags.js';

export default class ConfigShow extends BaseCommand {
  static override summary = 'Print every setting, its value and where it came from';
  static override flags = configFlags;
  static override examples = [
    { description: 'What would a server be started with here?', command: '<%= config.bin %> config show' },
    {
      description: 'With a file and a setting of your own',
      command: '<%= config.bin %> config show --config prod.toml --set fanout.window=1s',
    },
    { description: 'For programs', command: '<%= config.bin %> config show --json' },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(ConfigShow);
    const output = this.outputFor(flags);
    const { settings, file } = await loadFromFlags(flags);
    if (file !== undefined) output.detail(`Read ${file}.`);
    await output.items(settings, {
      columns: [
        { title: 'setting', value: (setting) => setting.key },
        { title: 'value', value: (setting) => setting.value },
        { title: 'origin', value: (setting) => setting.origin },
        { title: 'what', value: (setting) => setting.describe },
      ],
      bare: (setting) => `${setting.key} = ${setting.value}  # ${setting.origin}`,
      none: '',
    });
  }
}
