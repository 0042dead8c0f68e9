// What the tests of templates/ read: its files, the command lines in them, and what those say to the real flags and settings.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Command } from '@oclif/core/command';
import type { ArgInput, FlagInput } from '@oclif/core/interfaces';
import { parse } from '@oclif/core/parser';
import { type Document, parseAllDocuments } from 'yaml';
import { TEMPLATES } from '../../src/cli/init/catalogue.js';
import { type ConfigFlagValues, settingsOf } from '../../src/cli/serve/config-flags.js';
import { type LoadedConfig, loadConfig } from '../../src/server/config-load.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const FOLDER = join(ROOT, 'templates');

/** Paths in templates/, sorted. */
export function filesOf(pattern: string): readonly string[] {
  return globSync(pattern, { cwd: FOLDER, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(FOLDER.length + 1))
    .sort();
}

export function read(file: string): string {
  return readFileSync(join(FOLDER, file), 'utf8');
}

/** The documents of a YAML file; throws what is wrong with it. */
export function yaml(file: string): readonly unknown[] {
  return (parseAllDocuments(read(file), { merge: true, uniqueKeys: true }) as Document[]).map((document) => {
    const [wrong] = [...document.errors, ...document.warnings];
    if (wrong !== undefined) throw wrong;
    return document.toJS() as unknown;
  });
}

/** Every `imgo …` that a person is told to type: in Markdown, in comments, in what `init` prints. */
export function typedCommands(): readonly { readonly where: string; readonly line: string }[] {
  const found = TEMPLATES.flatMap(({ name, next }) => next.map((step) => ({ where: `next of ${name}`, line: step })));
  for (const file of filesOf('**/*')) {
    const text = read(file);
    for (const [, inline = ''] of text.matchAll(/`(imgo\s[^`]+)`/g)) found.push({ where: file, line: inline });
    const blocks = [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, block = '']) => block);
    for (const line of blocks.flatMap((block) => block.split('\n'))) found.push({ where: file, line });
  }
  return found.flatMap(({ where, line }) => {
    const command = /(?:^|-- )(imgo\s.*)$/s.exec(line)?.[1];
    return command === undefined ? [] : [{ where, line: command.replaceAll(/\s+/g, ' ') }];
  });
}

/** The words of a command line as a shell makes them, without what it would replace. */
export function wordsOf(line: string): readonly string[] {
  return [...line.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"']+)+/g)].map(([word]) => word.replaceAll(/["']/g, ''));
}

/** What a command line says, read by the command itself. Throws what is wrong with it. */
export async function parsed(
  words: readonly string[],
): Promise<{ readonly command: string; readonly flags: Readonly<Record<string, unknown>> }> {
  const [, first = '', second = ''] = words;
  const commands = new Map(
    globSync('src/commands/**/*.ts', { cwd: ROOT }).map((file) => [
      file.replace(/^src\/commands\//, '').replace(/(\/index)?\.ts$/, ''),
      file,
    ]),
  );
  const name = commands.has(`${first}/${second}`) ? `${first}/${second}` : first;
  const file = commands.get(name);
  if (file === undefined) throw new Error(`imgo ${first} ${second} is not a command`);
  const module = (await import(pathToFileURL(join(ROOT, file)).href)) as { readonly default: typeof Command };
  const { args, flags, baseFlags } = module.default;
  const rest = words.slice(1 + name.split('/').length);
  const input = { args: args as ArgInput, flags: { ...baseFlags, ...flags } as FlagInput, strict: true };
  const { flags: values } = await parse([...rest], input);
  return { command: name.replace('/', ' '), flags: values };
}

/** The configuration of a server that is started by these words, with `files` for the paths that they name. */
export async function configured(
  words: readonly string[],
  files: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): Promise<LoadedConfig> {
  const { command, flags } = await parsed(words);
  if (command !== 'serve') throw new Error(`${words.join(' ')} starts no server`);
  const named = String(flags['config']);
  const template = files[named];
  if (template === undefined) throw new Error(`nothing is at ${named}`);
  return loadConfig({
    file: join(FOLDER, template),
    env,
    flags: settingsOf(flags as ConfigFlagValues),
    folder: '/',
  });
}
