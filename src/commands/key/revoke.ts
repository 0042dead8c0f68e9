// `imgo key revoke ID`: an API key that is not to be used any more.

import * as Args from '@oclif/core/args';
import { path } from '../../cli/api.js';
import { BaseCommand } from '../../cli/base.js';
import type { ShownKey } from '../../cli/keys.js';

export default class KeyRevoke extends BaseCommand {
  static override summary = 'Revoke an API key';
  static override args = {
    id: Args.string({ ignoreStdin: true, required: true, description: 'as key list prints it; not the key' }),
  };
  static override examples = [{ description: 'One', command: '<%= config.bin %> key revoke k_4f2a' }];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(KeyRevoke);
    const output = this.outputFor(flags);
    const api = await this.apiFor(flags, output);
    const key = await api.json<ShownKey>({ method: 'DELETE', path: path('v1', 'keys', args.id) });
    if (flags.json) await output.object(key);
    else output.note(`${key.id} is revoked.`);
  }
}
