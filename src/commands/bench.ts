// `imgo bench`: how many connections, how many messages, what it costs, and whether all of them arrived.

import { fileURLToPath } from 'node:url';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { countOf, durationOf, globalFlags } from '../cli/flags.js';

/** It starts its own server: there is none to name, and no key. */
const { server: _server, 'key-file': _keyFile, ...ownFlags } = globalFlags;

export default class Bench extends BaseCommand {
  static override summary = 'Measure a server with many connections, and audit every message';
  static override description =
    "Starts a server of its own that keeps nothing, connects clients of imgo's protocol over TCP to its default room, pushes to it at a steady rate, and counts on every connection. Exit 99 when something was lost, came twice or out of order, or did not connect.";
  static override baseFlags = ownFlags as typeof globalFlags;
  static override flags = {
    conns: Flags.string({ char: 'c', helpValue: 'N', default: '1000', summary: 'connections' }),
    duration: Flags.string({ char: 'd', helpValue: 'D', default: '10s', summary: 'how long messages are offered' }),
    rate: Flags.string({ char: 'R', helpValue: 'N', default: '40', summary: 'messages a second, when due' }),
    settle: Flags.string({ helpValue: 'D', default: '60s', summary: 'how long to wait for what is on its way' }),
    workers: Flags.string({ helpValue: 'N|auto', default: 'auto', summary: 'processes of the server for connections' }),
    'per-process': Flags.string({ helpValue: 'N', default: '18000', summary: 'sockets of one process' }),
    'dry-run': Flags.boolean({ summary: 'print the plan, start nothing' }),
  };
  static override examples = [
    { description: 'A look', command: '<%= config.bin %> bench' },
    {
      description: "imgo's published case in small",
      command: '<%= config.bin %> bench --conns 10000 --rate 40 --duration 30s',
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(Bench);
    const output = this.outputFor(flags);
    const [
      { planRun },
      { defaultAssertions },
      { lookAtMachine },
      { runBench },
      { planLines, progressLine, resultLines },
      { nextStop },
    ] = await Promise.all([
      import('../bench/plan.js'),
      import('../bench/assertions.js'),
      import('../bench/machine.js'),
      import('../bench/run.js'),
      import('../bench/result.js'),
      import('../cli/bench/stop.js'),
    ]);
    const machine = lookAtMachine();
    const plan = planRun(
      {
        mode: 'room',
        connections: countOf('conns', flags.conns),
        rate: countOf('rate', flags.rate),
        durationMs: durationOf('duration', flags.duration) ?? 0,
        settleMs: durationOf('settle', flags.settle) ?? 0,
        workers: flags.workers === 'auto' ? 'auto' : countOf('workers', flags.workers),
        perProcess: countOf('per-process', flags['per-process']),
        rooms: 1,
        sizeBytes: 26,
        transport: 'tcp',
        dialect: 'imgo',
        store: 'memory',
        windowMs: undefined,
        seed: 1,
        connectRate: 'auto',
        warmupMs: 0,
        slow: 0,
        churn: 0,
        addresses: 'auto',
        server: undefined,
        settings: [],
      },
      machine,
    );
    for (const line of planLines(plan, machine)) output.note(line);
    if (flags['dry-run']) {
      if (output.json) await output.object({ plan, machine });
      return;
    }
    const launcher = fileURLToPath(new URL('../../bin/imgo.js', import.meta.url));
    let before: Parameters<typeof progressLine>[1];
    const stop = nextStop();
    const result = await runBench({
      plan,
      machine,
      launcher,
      version: this.config.version,
      signal: stop.signal,
      command: process.argv.slice(2).join(' '),
      access: undefined,
      assertions: defaultAssertions,
      reference: false,
      onSample: (sample) => {
        if (sample.phaseSeconds >= 0.5) output.note(progressLine(sample, before, plan));
        before = sample;
      },
    });
    if (output.json) await output.object(result);
    else for (const line of resultLines(result)) await output.line(line);
    if (stop.signal.aborted) process.exitCode = 130;
    else if (result.assertions.some(({ holds }) => !holds)) process.exitCode = 99;
    else if (result.client.saturated.is) process.exitCode = 98;
  }
}
