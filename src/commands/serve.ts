// `imgo serve`: one server on this machine, until a signal stops it.

import { resolve } from 'node:path';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { countOf } from '../cli/flags.js';
import { configFlags, loadFromFlags } from '../cli/serve/config-flags.js';

export default class Serve extends BaseCommand {
  static override summary = 'Run a server: accepts pushes over HTTP, holds clients over TCP and WebSocket';
  static override description =
    'Without a key it listens on this machine only. SIGTERM or Ctrl-C stops it: what was accepted is kept. ' +
    'SIGHUP has it read its settings again.';
  static override flags = {
    ...configFlags,
    nodes: Flags.string({
      helpGroup: 'APART',
      helpValue: 'N',
      exclusive: ['role', 'rpc', 'workers', 'check'],
      summary: 'a small cluster on this machine, for trying it out: N comets, logics and jobs, each a process',
    }),
    check: Flags.boolean({ summary: 'check settings and ports, start nothing' }),
  };
  static override examples = [
    { description: 'For development', command: '<%= config.bin %> serve' },
    {
      description: 'For a test: any free ports, nothing kept',
      command: '<%= config.bin %> serve --memory --http 0 --ws 0 --tcp 0 --json',
    },
    {
      description: 'For everybody',
      command: '<%= config.bin %> serve --host 0.0.0.0 --key-file imgo.key --origin https://app.example.com',
    },
    { description: 'Roles apart, all on this machine', command: '<%= config.bin %> serve --nodes 3' },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(Serve);
    const output = this.outputFor(flags);
    if (flags.nodes !== undefined) {
      const { runNodes } = await import('../cli/serve/nodes.js');
      const comets = countOf('nodes', flags.nodes);
      return runNodes(
        { comets, flags, keyFile: flags['key-file'] && resolve(flags['key-file']), stopMs: 35_000 },
        output,
      );
    }
    const [loaded, { readSecret }] = await Promise.all([loadFromFlags(flags), import('../cli/secrets.js')]);
    const keyFile = flags['key-file'];
    // Not IMGO_KEY: that is a caller's key, of whatever server, and would become the admin key of this one.
    const importKey = keyFile === undefined ? undefined : readSecret(keyFile);
    if (flags.check) {
      const { settlePorts } = await import('../cli/serve/ports.js');
      const { moves } = await settlePorts(loaded.config);
      for (const { listener, from, to, holder } of moves)
        output.warn(`${listener} would be on ${to}: ${holder} has ${from}.`);
      if (flags.json) await output.object({ valid: true, file: loaded.file ?? null });
      else output.note('Settings and ports are fine.');
      return;
    }
    const { runServer } = await import('../cli/serve/run.js');
    const known = keyFile === undefined || keyFile === '-' ? undefined : resolve(keyFile);
    const load = () => loadFromFlags(flags);
    await runServer(loaded, { importKey, keyFile: known, load }, output);
  }
}
