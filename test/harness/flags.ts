// The flags of a campaign. Its help is what stands at the head of its file; a wrong flag ends it with status 2 before it begins.
import { readFileSync } from 'node:fs';
import { type ParseArgsConfig, parseArgs } from 'node:util';

type Options = NonNullable<ParseArgsConfig['options']>;
type Parsed<O extends Options> = ReturnType<typeof parseArgs<{ options: O; allowPositionals: boolean }>>;

/** Prints the help of `file` and ends the process when asked to, or when a flag is wrong: one whose default is a number takes one. */
export function flagsOf<O extends Options>(file: string, options: O, allowPositionals = false): Parsed<O> {
  const args = process.argv.slice(2);
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(headOf(file));
    process.exit(0);
  }
  try {
    const parsed = parseArgs({ args, options, allowPositionals });
    for (const [name, value] of Object.entries(parsed.values)) {
      const numeric = isNumber(options[name]?.default) && !isNumber(value);
      if (numeric) throw new Error(`--${name} takes a number, not '${value}'`);
    }
    return parsed as Parsed<O>;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${headOf(file)}`);
    process.exit(2);
  }
}

function isNumber(value: unknown): boolean {
  return typeof value === 'string' && value.trim() !== '' && !Number.isNaN(Number(value));
}

/** The comment that a file begins with. */
function headOf(file: string): string {
  const lines = readFileSync(file, 'utf8').split('\n');
  const end = lines.findIndex((line) => !line.startsWith('//'));
  return `${lines
    .slice(0, end)
    .map((line) => line.slice(3))
    .join('\n')}\n`;
}
