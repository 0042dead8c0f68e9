// `imgo key list`: API keys without their secrets.

import { BaseCommand } from '../../cli/base.js';
import { listKeys } from '../../cli/keys.js';

export default class KeyList extends BaseCommand {
  static override summary = 'List API keys: name, scopes, state';
  static override examples = [
    { description: 'All', command: '<%= config.bin %> key list' },
    { description: 'For programs', command: '<%= config.bin %> key list --json --key-file imgo.key' },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(KeyList);
    const output = this.outputFor(flags);
    await listKeys(await this.apiFor(flags, output), output);
  }
}
