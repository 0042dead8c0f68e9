// Promises of the command line, broken one at a time: where a setting comes from, which server is talked to, what is sent,
// what is told and what is not.

import type { Mutant } from './mutant.js';

type Test = 'config' | 'discovery' | 'push' | 'report';

function mutant(name: string, file: string, find: string, replace: string, test: Test, part: string): Mutant {
  return { name, file: `src/${file}.ts`, find, replace, expect: { file: `test/unit/cli/${test}.test.ts`, test: part } };
}

/** The mutants of the command line. */
export const CLI_MUTANTS: readonly Mutant[] = [
  mutant(
    'a setting that does not exist is ignored',
    'server/config-load',
    'if (leaves.has(key)) return;',
    'if (leaves.has(key) || key.length > 0) return;',
    'config',
    'refused with file, line',
  ),
  mutant(
    'a misspelled variable is ignored',
    'server/config-load',
    "if (!key.includes('.')) return;",
    'if (key.length > 0) return;',
    'config',
    'refused in the environment',
  ),
  mutant(
    'settings that contradict each other are taken',
    'server/config-load',
    'if (bytes >= largest) continue;',
    'if (bytes >= 0) continue;',
    'config',
    'contradict each other',
  ),
  mutant(
    'every 127-like name is loopback',
    'server/config',
    '127(\\.\\d{1,3}){3}$/.test(bare)',
    '127(\\.\\d{1,3}){3}/.test(bare)',
    'config',
    'is not',
  ),
  mutant(
    'a run file of a process that is gone is believed',
    'cli/run-files',
    "(error as NodeJS.ErrnoException).code === 'ESRCH'",
    "(error as NodeJS.ErrnoException).code === 'EPERM'",
    'discovery',
    'processes that are gone',
  ),
  mutant(
    'a pid that was reused is taken for the server',
    'cli/run-files',
    "return now === undefined || started === '' || now === started;",
    "return now === undefined || started === '' || now !== '';",
    'discovery',
    'another process has now',
  ),
  mutant(
    'a run file can be read by everybody',
    'cli/run-files',
    '{ mode: 0o600 }',
    '{ mode: 0o644 }',
    'discovery',
    'only for their owner',
  ),
  mutant(
    'the first of several servers is taken',
    'cli/server-choice',
    'if (running.length > 1) {',
    'if (running.length > 100) {',
    'discovery',
    'not guessed among several',
  ),
  mutant(
    'a key in a URL is taken',
    'cli/server-choice',
    "url.username !== '' || url.password !== ''",
    "url.password !== ''",
    'discovery',
    'is never',
  ),
  mutant(
    'a port that was named moves',
    'cli/serve/ports',
    'if (named || !isLoopback(host) || next === undefined)',
    'if (!isLoopback(host) || next === undefined)',
    'discovery',
    'fails when somebody named it',
  ),
  mutant(
    'a push to all needs no second word',
    'cli/push/target',
    "target.kind !== 'all' || yes || isLoopback(hostname)",
    "target.kind !== 'all' || yes || hostname !== ''",
    'push',
    'asks for --yes',
  ),
  mutant(
    'what is not JSON is sent as it is',
    'cli/push/message',
    "throw new ImgoError('not_json', {});",
    'return { field: Buffer.from(\'"message":0\'), bytes: 1 };',
    'push',
    'needs --text',
  ),
  mutant(
    'a message that is too long swallows the next',
    'cli/push/line-reader',
    '    carriedBytes = 0;\n    tooLong = false;',
    '    carriedBytes = 0;',
    'push',
    'do not disturb the next',
  ),
  mutant(
    'a control character of a message is obeyed',
    'cli/listen/print',
    'printable(text);',
    'text;',
    'push',
    'obeys no control character',
  ),
  mutant(
    'a line end inside of JSON breaks a line of output',
    'cli/listen/print',
    "text.replace(/[\\r\\n]+/g, ' ').trim()",
    'text.trim()',
    'push',
    'is one line of JSON',
  ),
  mutant(
    'the value of an unknown flag is repeated',
    'cli/failures',
    ".split('=')[0]} is not a flag",
    '} is not a flag',
    'report',
    'a value behind an unknown flag',
  ),
  mutant(
    'what stands behind -- is taken for a flag',
    'cli/report',
    'end < 0 ? argv : argv.slice(0, end)',
    'end < 0 ? argv : argv.slice(0)',
    'report',
    'before -- only',
  ),
];
