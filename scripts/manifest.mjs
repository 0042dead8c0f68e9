// Writes oclif.manifest.json into a freshly compiled folder: with it a command loads its own file and no other, and
// help loads none. Usage: manifest.mjs FOLDER strict|lenient. Lenient leaves out what cannot be loaded, and says so.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, mode] = process.argv.slice(2);
const { Plugin } = await import('@oclif/core');
const { cliPackage } = await import(pathToFileURL(join(folder, 'cli/oclif.js')).href);

process.removeAllListeners('warning');
process.on('warning', (warning) => process.stderr.write(`A command cannot be loaded: ${warning.message}\n`));

const plugin = new Plugin({
  root: folder,
  isRoot: true,
  pjson: cliPackage(),
  ignoreManifest: true,
  errorOnManifestCreate: mode === 'strict',
  respectNoCacheDefault: true,
});
await plugin.load();
writeFileSync(join(folder, 'oclif.manifest.json'), JSON.stringify(plugin.manifest));
