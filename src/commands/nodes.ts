// `imgo nodes`: the processes that make up the server.

import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { listNodes } from '../cli/health.js';

export default class Nodes extends BaseCommand {
  static override summary = 'List nodes: roles, state, connections';
  static override args = { node: Args.string({ ignoreStdin: true, description: 'this node only' }) };
  static override flags = {
    role: Flags.string({ options: ['comet', 'logic', 'job'], helpValue: 'R', summary: 'comet, logic or job' }),
    state: Flags.string({ options: ['ok', 'draining', 'gone'], helpValue: 'S', summary: 'ok, draining or gone' }),
  };
  static override examples = [
    { description: 'All', command: '<%= config.bin %> nodes' },
    { description: 'For programs', command: '<%= config.bin %> nodes --json' },
    { description: 'Those that are being emptied', command: '<%= config.bin %> nodes --state draining' },
  ];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(Nodes);
    const output = this.outputFor(flags);
    const { role, state } = flags;
    await listNodes(await this.apiFor(flags, output), { node: args.node, role, state }, output);
  }
}
