// `imgo doctor`: is this machine, and what the configuration names, fit for it?

import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { configFlags, loadFromFlags } from '../cli/serve/config-flags.js';

export default class Doctor extends BaseCommand {
  static override summary = 'Check this machine: limits, ports, disk, clock, brokers; and what more connections need';
  static override description =
    'Reads the configuration as serve would, and the limits of the shell or unit that it runs in. It changes nothing: settings of the system are printed as lines to paste. ' +
    'Exit status 0: all is good, 1: something works and not well, 5: something does not, or the target is out of reach.';
  static override flags = {
    ...configFlags,
    target: Flags.string({
      helpValue: 'N',
      summary: 'judge for so many connections: 1M, 200k, 50000 (limits.max_conns)',
    }),
  };
  static override examples = [
    { description: 'Is it fit?', command: '<%= config.bin %> doctor' },
    {
      description: 'What does a million connections need?',
      command: '<%= config.bin %> doctor --target 1M',
    },
    { description: 'For programs', command: '<%= config.bin %> doctor --config prod.toml --json' },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(Doctor);
    const output = this.outputFor(flags);
    const [{ examine, report }, { parseTarget }] = await Promise.all([
      import('../cli/doctor/doctor.js'),
      import('../cli/doctor/target.js'),
    ]);
    const target = flags.target === undefined ? undefined : parseTarget(flags.target);
    await report(await examine(await loadFromFlags(flags), target), output);
  }
}
