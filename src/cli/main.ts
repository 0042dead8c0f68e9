// The entry that the launchers call: hands the arguments to oclif. It promises that a closed pipe (`imgo … | head`)
// ends the program quietly, and that what was written is flushed before it ends.

import { fileURLToPath } from 'node:url';
import { cliPackage, readPackage } from './oclif.js';

/** Runs one command. Failures end the process with the exit status of their error. */
export async function main(argv: readonly string[]): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', endOnClosedPipe);
  if (argv[0] === '--version' || argv[0] === 'version') {
    process.stdout.write(`imgo ${readPackage().version}\n`);
    return;
  }
  const [{ run }, { flush }, { handle }, { settings }] = await Promise.all([
    import('@oclif/core/run'),
    import('@oclif/core/flush'),
    import('@oclif/core/handle'),
    import('@oclif/core/settings'),
  ]);
  // Only dist is ever run: oclif must not look for TypeScript sources.
  settings.tsnodeEnabled = false;
  const args = argv[0] === 'help' ? [...argv.slice(1), '--help'] : [...argv];
  try {
    await run(args, {
      root: fileURLToPath(new URL('..', import.meta.url)),
      pjson: cliPackage(process.env['IMGO_ARGV0']),
    });
    await flush();
  } catch (error) {
    await handle(error instanceof Error ? error : new Error(String(error)));
  }
}

function endOnClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
}
