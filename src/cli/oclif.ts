// What oclif has to know about this package, for main.ts and for the build's manifest.
//
// A command is added by adding a file: src/commands/push.ts is `imgo push`, src/commands/token/create.ts is
// `imgo token create`. Its default export is the command's class. The build lists all of them in
// dist/oclif.manifest.json, so that a command loads its own file only, and help loads none. Import what is heavy
// (the server, zod, the client) inside `run()`: `import()` keeps the other paths quick.

import { readFileSync } from 'node:fs';
import type { Interfaces } from '@oclif/core';

/** Name and version as package.json states them; read at run time, so that there is one place. */
export function readPackage(): { readonly name: string; readonly version: string; readonly description: string } {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
}

/**
 * The package description that oclif works from, with paths relative to dist.
 * @param bin - how the program was called, for usage lines and examples in help
 */
export function cliPackage(bin = 'imgo'): Interfaces.PJSON {
  const { name, version, description } = readPackage();
  return {
    name,
    version,
    description,
    type: 'module',
    oclif: {
      bin,
      dirname: 'imgo',
      commands: { strategy: 'pattern', target: './commands', globPatterns: ['**/*.js'] },
      topicSeparator: ' ',
      topics: {},
      plugins: [],
      helpOptions: { maxWidth: 100, hideAliasesFromRoot: true },
    },
  };
}
