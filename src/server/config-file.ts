// imgo.toml: reads it, and tells the line on which a key stands. A file that was named has to be there; ./imgo.toml may be
// missing. What TOML calls wrong is `config_unreadable` with its line.

import { readFileSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';
import { ImgoError } from '../protocol/errors.js';

/** A configuration above this is not one. */
const MAX_FILE_BYTES = 1_048_576;

/** A file as it was read. */
export interface ConfigFile {
  readonly file: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** `imgo.toml:14` for a dotted key; without the line where it cannot be told. */
  readonly where: (key: string) => string;
}

/**
 * Reads a configuration.
 * @param named - false: a missing file is no file, and undefined is returned
 * @throws ImgoError config_unreadable
 */
export function readConfigFile(file: string, named: boolean): ConfigFile | undefined {
  let text: string;
  try {
    const bytes = readFileSync(file);
    if (bytes.length > MAX_FILE_BYTES)
      throw new ImgoError('config_unreadable', { file, detail: 'it is larger than 1 MiB' });
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof ImgoError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && !named) return undefined;
    throw new ImgoError('config_unreadable', { file, detail: explain(code) });
  }
  return parseConfigFile(file, text);
}

/** @throws ImgoError config_unreadable */
export function parseConfigFile(file: string, text: string): ConfigFile {
  try {
    const values = parse(text, { maxDepth: 20 });
    return { file, values, where: (key) => locate(file, text, key) };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [reason = 'not TOML'] = error.message.replace(/^Invalid TOML document: /, '').split('\n');
    throw new ImgoError('config_unreadable', { file: `${file}:${error.line}:${error.column}`, detail: reason });
  }
}

function explain(code: string | undefined): string {
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'it may not be read';
  if (code === 'EISDIR') return 'it is a folder';
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return 'it is not UTF-8';
  return code ?? 'it cannot be read';
}

/** Reads line by line, which is enough for where keys stand: the parser has judged the file already. */
function locate(file: string, text: string, key: string): string {
  let table = '';
  let best: { readonly line: number; readonly length: number } | undefined;
  for (const [at, line] of text.split('\n').entries()) {
    const header = /^\s*\[\[?\s*([^\]]+?)\s*\]/.exec(line)?.[1];
    if (header !== undefined) table = plain(header);
    const name = /^\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=/.exec(line)?.[1];
    const here = header !== undefined ? table : name === undefined ? undefined : join(table, plain(name));
    if (here === undefined) continue;
    if (here.startsWith(`${key}.`) && best === undefined) best = { line: at + 1, length: 0 };
    if (!(key === here || key.startsWith(`${here}.`))) continue;
    if (best === undefined || here.length > best.length) best = { line: at + 1, length: here.length };
  }
  return best === undefined ? file : `${file}:${best.line}`;
}

function plain(dotted: string): string {
  return dotted
    .split('.')
    .map((part) => part.trim().replace(/^["']|["']$/g, ''))
    .join('.');
}

function join(table: string, name: string): string {
  return table === '' ? name : `${table}.${name}`;
}
