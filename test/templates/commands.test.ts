// Every command line in templates/ is one that imgo understands.
import { describe, expect, it } from 'vitest';
import { parsed, typedCommands, wordsOf } from './files.js';

const COMMANDS = typedCommands();

describe('what a person is told to type', () => {
  it('is found', () => {
    expect(COMMANDS.length).toBeGreaterThan(30);
  });

  it.each(COMMANDS)('$where: $line', async ({ line }) => {
    const { command } = await parsed(wordsOf(line.replace(/ \|.*$/, '')));
    expect(command).not.toBe('');
  });
});
