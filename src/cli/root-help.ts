// `imgo --help`, printed from the manifest that the build writes, without loading oclif: it is what people type first,
// and oclif alone would take longer than all the rest. Help of a command or topic is oclif's.

import { readFileSync } from 'node:fs';
import type { Interfaces } from '@oclif/core';
import { readPackage } from './oclif.js';

/** Whether these arguments ask for the overview of all commands. */
export function asksForRootHelp(argv: readonly string[]): boolean {
  return argv.length === 0 || (argv.length === 1 && ['--help', '-h', 'help'].includes(argv[0] ?? ''));
}

/**
 * The overview: what imgo is, how to begin, each command in one line.
 * @param bin - how the program was called
 * @returns undefined if there is no manifest (a build without one): oclif has to find the commands itself
 */
export function rootHelp(bin: string): string | undefined {
  const commands = readCommands();
  if (commands === undefined) return undefined;
  const listed = Object.values(commands)
    .filter((command) => !command.hidden)
    .map((command) => ({
      name: command.id.replaceAll(':', ' '),
      summary: command.summary ?? command.description?.split('\n')[0] ?? '',
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const width = Math.max(0, ...listed.map(({ name }) => name.length));
  return `${[
    readPackage().description,
    '',
    'USAGE',
    `  $ ${bin} COMMAND`,
    '',
    'BEGIN WITH',
    `  $ ${bin} serve`,
    `  $ ${bin} listen --user 123456`,
    `  $ ${bin} push --user 123456 '{"test":1}'`,
    '',
    'COMMANDS',
    ...listed.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`.trimEnd()),
    '',
    `Flags and examples of a command: ${bin} COMMAND --help`,
  ].join('\n')}\n`;
}

function readCommands(): Interfaces.Manifest['commands'] | undefined {
  try {
    const manifest: Interfaces.Manifest = JSON.parse(
      readFileSync(new URL('../oclif.manifest.json', import.meta.url), 'utf8'),
    );
    return manifest.commands;
  } catch {
    return undefined;
  }
}
