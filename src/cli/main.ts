// The entry that the launchers call: hands the arguments to oclif. It promises that a closed pipe (`imgo … | head`)
// ends the program quietly, that what was written is flushed before it ends, and that every failure is told in one form
// and ends with the exit status of its error.

import { fileURLToPath } from 'node:url';
import { endOnClosedPipe } from './closed-pipe.js';
import { cliPackage, readPackage } from './oclif.js';
import { asksForRootHelp, rootHelp } from './root-help.js';

/** Runs one command. */
export async function main(argv: readonly string[]): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', endOnClosedPipe);
  if (argv[0] === '--version' || argv[0] === 'version') {
    process.stdout.write(`imgo ${readPackage().version}\n`);
    return;
  }
  const overview = asksForRootHelp(argv) ? rootHelp(process.env['IMGO_ARGV0'] ?? 'imgo') : undefined;
  if (overview !== undefined) {
    process.stdout.write(overview);
    return;
  }
  const [{ run }, { flush }, { settings }, { Config }] = await Promise.all([
    import('@oclif/core/run'),
    import('@oclif/core/flush'),
    import('@oclif/core/settings'),
    import('@oclif/core/config'),
  ]);
  // Only dist is ever run: oclif must not look for TypeScript sources.
  settings.tsnodeEnabled = false;
  const args = commandFirst(argv[0] === 'help' ? [...argv.slice(1), '--help'] : argv);
  const config = await Config.load({
    root: fileURLToPath(new URL('..', import.meta.url)),
    pjson: cliPackage(process.env['IMGO_ARGV0']),
  });
  try {
    await run(args, config);
    await flush();
  } catch (error) {
    await fail(error, args, config.commandIDs);
  }
}

/** `imgo --server URL status` means `imgo status --server URL`. */
function commandFirst(argv: readonly string[]): string[] {
  const takesValue = /^--(server|key-file|log-level)$/;
  let at = 0;
  while (argv[at]?.startsWith('-') === true && argv[at] !== '--') at += takesValue.test(argv[at] ?? '') ? 2 : 1;
  const rest = argv.slice(at);
  const end = rest.indexOf('--');
  return rest.toSpliced(end < 0 ? rest.length : end, 0, ...argv.slice(0, at));
}

async function fail(error: unknown, argv: readonly string[], ids: readonly string[]): Promise<void> {
  const { asFailure, plainExit } = await import('./failures.js');
  const status = plainExit(error);
  if (status !== undefined) {
    process.exitCode = status;
    return;
  }
  const commands = ids.map((id) => id.replaceAll(':', ' '));
  const words = argv.slice(0, 2).join(' ');
  const command = commands.find((name) => name === words) ?? commands.find((name) => name === argv[0]) ?? '';
  const { report } = await import('./report.js');
  report(asFailure(error, command, commands));
}
