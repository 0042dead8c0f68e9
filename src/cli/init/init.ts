// `imgo init`: writes the files of a template into a folder. All of them or none, and never over a file that is there.

import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ImgoError } from '../../protocol/errors.js';
import { nearest } from '../../protocol/nearest.js';
import type { Output } from '../output.js';
import { TEMPLATES, type Template } from './catalogue.js';

/** templates/ of the package: as far from dist/cli/init as from src/cli/init. */
const ROOT = fileURLToPath(new URL('../../../templates/', import.meta.url));

/** A file to write. */
export interface PlannedFile {
  readonly source: string;
  readonly target: string;
}

/** Prints what there is. */
export function listTemplates(output: Output): Promise<void> {
  const items = TEMPLATES.map(({ name, summary }) => ({ name, summary }));
  return output.items(items, {
    columns: [
      { title: 'template', value: ({ name }) => name },
      { title: 'what', value: ({ summary }) => summary },
    ],
    bare: ({ name }) => name,
    none: '',
  });
}

/** Writes a template into `folder`, or says what it would write. @throws ImgoError usage, file_exists, file_unwritable */
export async function init(name: string, folder: string, dryRun: boolean, output: Output): Promise<void> {
  const template = templateNamed(name);
  const plan = planOf(template, folder);
  refuseExisting(plan);
  if (!dryRun) writeAll(plan);
  const files = plan.map(({ target }) => target);
  const next = template.next.map((step) => step.replaceAll('DIR', () => folder));
  if (output.json) return output.object({ template: name, folder, dryRun, files, next });
  for (const file of files) await output.line(file);
  if (dryRun) return output.note('Nothing was written.');
  output.note(['Written. Next:', ...next.map((step) => `  → ${step}`)].join('\n'));
}

/** @throws ImgoError usage for a name that no template has */
export function templateNamed(name: string): Template {
  const found = TEMPLATES.find((template) => template.name === name);
  if (found !== undefined) return found;
  const names = TEMPLATES.map((template) => template.name);
  const near = nearest(name, names);
  const detail = `There is no such template.${near === undefined ? ` There are ${names.join(', ')}.` : ` Did you mean ${near}?`}`;
  throw new ImgoError('usage', { detail, command: 'init' });
}

/** The files of a template, sorted, and where in `folder` each goes. */
export function planOf({ from }: Template, folder: string): readonly PlannedFile[] {
  return from
    .flatMap((part) => {
      const root = join(ROOT, part);
      return readdirSync(root, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .map((source) => ({ source, target: join(folder, relative(root, source)) }));
    })
    .sort((a, b) => (a.target < b.target ? -1 : 1));
}

/** A link that leads nowhere is there as well. */
function refuseExisting(plan: readonly PlannedFile[]): void {
  const there = plan.find(({ target }) => {
    try {
      return lstatSync(target, { throwIfNoEntry: false }) !== undefined;
    } catch (error) {
      throw unwritable(target, error);
    }
  });
  if (there !== undefined) throw new ImgoError('file_exists', { file: there.target });
}

/** Takes back what it wrote when a file cannot be written, or has come meanwhile. */
function writeAll(plan: readonly PlannedFile[]): void {
  const made: string[] = [];
  try {
    for (const { source, target } of plan) {
      const folder = mkdirSync(dirname(target), { recursive: true });
      if (folder !== undefined) made.push(folder);
      writeOne(target, readFileSync(source), made);
    }
  } catch (error) {
    for (const path of made.reverse()) rmSync(path, { recursive: true, force: true });
    throw error;
  }
}

function writeOne(target: string, bytes: Uint8Array, made: string[]): void {
  try {
    writeFileSync(target, bytes, { flag: 'wx' });
    made.push(target);
  } catch (error) {
    throw unwritable(target, error);
  }
}

function unwritable(file: string, error: unknown): ImgoError {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EEXIST') return new ImgoError('file_exists', { file });
  return new ImgoError('file_unwritable', { file, detail: code ?? 'unknown reason' }, { cause: error });
}
