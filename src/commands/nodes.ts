// `imgo nodes`: the processes that make up the server.

import { BaseCommand } from '../cli/base.js';
import { listNodes } from '../cli/health.js';

export default class Nodes extends BaseCommand {
  static override summary = 'List nodes: roles, state, connections';
  static override examples = [
    { description: 'All', command: '<%= config.bin %> nodes' },
    { description: 'For programs', command: '<%= config.bin %> nodes --json' },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(Nodes);
    const output = this.outputFor(flags);
    await listNodes(await this.apiFor(flags, output), output);
  }
}
