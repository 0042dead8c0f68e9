// `imgo bench`: how many connections, how many messages, what it costs, and whether all of them arrived.

import { BaseCommand } from '../../cli/base.js';
import { benchBaseFlags, benchFlags } from '../../cli/bench/flags.js';

export default class Bench extends BaseCommand {
  static override summary = 'Measure a server with many connections, and audit every message';
  static override description =
    'Starts a server of its own, connects clients, pushes messages when they are due, and counts on every connection what arrived. The plan is said before anything starts. Exit 99: an assertion failed; 98: all hold, but the harness was at its limit; 130: interrupted, with the account of what there was.';
  static override baseFlags = benchBaseFlags;
  static override flags = benchFlags;
  static override examples = [
    { description: 'A look', command: '<%= config.bin %> bench' },
    {
      description: "imgo's published case in small, with what must hold",
      command: "<%= config.bin %> bench -c 10000 -d 30s --assert 'p99<500ms' --html bench.html",
    },
    {
      description: 'A server that runs already',
      command: '<%= config.bin %> bench --server http://127.0.0.1:7172 -m user -R 200',
    },
    { description: 'What this machine could hold', command: '<%= config.bin %> bench --conns max --dry-run' },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(Bench);
    const { bench } = await import('../../cli/bench/run.js');
    await bench(flags, this.config.version, this.outputFor(flags));
  }
}
