// Completion of a word that is a command and has subcommands as well: both are offered.
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { type CompletedCommand, completionScript } from '../../../src/cli/completion.js';

const flag = (name: string, values: readonly string[] = []) => {
  return { name, char: undefined, summary: name, values, takesValue: true };
};
const commands: readonly CompletedCommand[] = [
  { name: 'bench', summary: 'measure', flags: [flag('mode', ['room', 'user'])] },
  { name: 'bench compare', summary: 'two results', flags: [flag('html')] },
  { name: 'token create', summary: 'make one', flags: [flag('ttl')] },
];

function completed(...words: readonly string[]): string {
  const typed = `COMP_WORDS=(imgo ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}`;
  const script = `${completionScript('bash', 'imgo', commands)}${typed}; _imgo; echo "\${COMPREPLY[*]}"`;
  return spawnSync('bash', ['-c', script], { encoding: 'utf8' }).stdout.trim();
}

test.each<[readonly string[], string]>([
  [['bench', ''], 'compare'],
  [['bench', '--'], '--mode --help'],
  [['bench', '--mode', 'r'], 'room'],
  [['bench', '--mode', 'room', '--m'], '--mode'],
  [['bench', 'compare', '--'], '--html --help'],
  [['token', ''], 'create'],
  [['token', 'create', '--'], '--ttl --help'],
])('bash: %j', (words, offered) => {
  expect(completed(...words)).toBe(offered);
});

test("fish: a command's flags are not offered behind its subcommand", () => {
  const script = completionScript('fish', 'imgo', commands);
  expect(script).toContain(
    "-n '__fish_seen_subcommand_from bench; and not __fish_seen_subcommand_from compare' -l mode",
  );
  expect(script).toContain("-n '__fish_seen_subcommand_from bench; and __fish_seen_subcommand_from compare' -l html");
});
