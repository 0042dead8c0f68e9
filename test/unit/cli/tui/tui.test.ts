// What views are made of: text that fits its cells, tables that fit a terminal, lists, typed text, and the frame that says
// when there is no place.
import { createRequire } from 'node:module';
import { useApp } from 'ink';
import { createElement, type ReactNode } from 'react';
import { describe, expect, it } from 'vitest';
import { cell, cut, toAscii, widthOf } from '../../../../src/cli/tui/cells.js';
import { answerOf, confirmLine, type Entry, entryLine, entryOf, typed } from '../../../../src/cli/tui/entry.js';
import { helpLines, keyLine } from '../../../../src/cli/tui/keys.js';
import { line, rule, spread } from '../../../../src/cli/tui/line.js';
import { AT_TOP, clamp, scrolled } from '../../../../src/cli/tui/list.js';
import type { Look } from '../../../../src/cli/tui/look.js';
import { Screen, useKeys } from '../../../../src/cli/tui/screen.js';
import { fitColumns, tableLines } from '../../../../src/cli/tui/table.js';
import { fc } from '../../../harness/property.js';
import { KEYS, show } from '../../../harness/terminal.js';

const ofInk = createRequire(createRequire(import.meta.url).resolve('ink'));
const { default: inkWidth } = ofInk('string-width') as { readonly default: (text: string) => number };
const look = (over: Partial<Look> = {}): Look => ({ columns: 80, rows: 24, coloured: false, unicode: true, ...over });
const NO_KEY = {
  upArrow: false,
  downArrow: false,
  leftArrow: false,
  rightArrow: false,
  pageDown: false,
  pageUp: false,
  home: false,
  end: false,
  return: false,
  escape: false,
  ctrl: false,
  shift: false,
  tab: false,
  backspace: false,
  delete: false,
  meta: false,
  super: false,
  hyper: false,
  capsLock: false,
  numLock: false,
};

describe('cells', () => {
  it('are counted as Ink counts them', () => {
    for (const text of [
      '',
      'abc',
      '日本語',
      'é',
      'e\u0301',
      '👍',
      '👨‍👩‍👧',
      '한글',
      'ｱ',
      'Ａ',
      '→·…▸',
      '▁█',
      '\u200b',
      '🇩🇪',
    ]) {
      expect(widthOf(text), text).toBe(inkWidth(text));
    }
  });

  it('hold a text of any kind in exactly their width, and never a control character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(30), fc.boolean(), (text, width, right) => {
        const shown = cell(text, width, right ? 'right' : 'left');
        expect(widthOf(shown)).toBe(width);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
        expect(shown).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
      }),
    );
  });

  it('say where something was cut', () => {
    expect(cut('123456', 6)).toBe('123456');
    expect(cut('123456', 5)).toBe('1234…');
    expect(cut('日本語', 5)).toBe('日本…');
    expect(cut('日本語', 4)).toBe('日…');
    expect(cut('a\u001b[31mb', 20)).toBe('a\\x1b[31mb');
    expect(cell('7', 3, 'right')).toBe('  7');
  });

  it('are as many in ASCII', () => {
    for (const text of ['▸ ← push … 1-42 ─', '日本', 'plain', '● live ▾']) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: everything that is not ASCII
      expect(toAscii(text)).not.toMatch(/[^\u0000-\u007f]/);
      expect(toAscii(text).length).toBe(widthOf(text));
    }
  });
});

describe('a line', () => {
  it('is cut at the edge, whatever it is made of', () => {
    const parts = ['abc ', { text: 'defgh', colour: 'red' as const }, ' ij'];
    expect(line(parts, look({ columns: 7 }))).toBe('abc de…');
    expect(line(parts, look())).toBe('abc defgh ij');
    expect(line(parts, look({ coloured: true }))).toBe('abc \u001b[31mdefgh\u001b[0m ij');
  });

  it('has its right side at the edge', () => {
    expect(spread(['left'], 'right', look({ columns: 12 }))).toBe('left   right');
    expect(spread(['left is long'], 'right', look({ columns: 12 }))).toBe('left … right');
    expect(rule('NODES', look({ columns: 20 }), 'note')).toBe('─ NODES ───── note ─');
    expect(rule('NODES', look({ columns: 20, unicode: false }), 'note')).toBe('- NODES ----- note -');
  });
});

describe('a table', () => {
  const columns = [
    { title: 'NODE', width: 4, value: ({ name }: { name: string; n: number }) => name, upTo: 12 },
    { title: 'N', width: 5, right: true, value: ({ n }: { n: number }) => String(n) },
    { title: 'EXTRA', width: 9, value: () => 'extra', leaves: 1 },
    { title: 'MORE', width: 9, value: () => 'more', leaves: 2 },
  ];
  const items = [
    { name: 'a-node-with-a-long-name', n: 7 },
    { name: 'b', n: 12345678 },
  ];

  it('gives up what matters least first, and spends what is left', () => {
    expect(fitColumns(columns, 33).map(({ title }) => title)).toEqual(['NODE', 'N', 'EXTRA', 'MORE']);
    expect(fitColumns(columns, 32).map(({ title }) => title)).toEqual(['NODE', 'N', 'EXTRA']);
    expect(fitColumns(columns, 12).map(({ title }) => title)).toEqual(['NODE', 'N']);
    expect(fitColumns(columns, 60)[0]?.cells).toBe(12);
  });

  it('has all its rows in the same columns, and a mark at the cursor', () => {
    expect(tableLines(items, columns, look({ columns: 24 }), 1)).toEqual([
      ' NODE       N  EXTRA    ',
      ' a-no…      7  extra    ',
      '▸b      1234…  extra    ',
    ]);
    for (const width of [40, 60, 200]) {
      for (const row of tableLines(items, columns, look({ columns: width }), 0)) {
        expect(widthOf(row)).toBeLessThanOrEqual(width);
      }
    }
  });
});

describe('a list', () => {
  it('keeps its cursor in the list and in sight', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer(),
        fc.nat(50),
        fc.integer({ min: 1, max: 20 }),
        (cursor, top, count, height) => {
          const at = clamp({ cursor, top }, count, height);
          expect(at.cursor).toBeGreaterThanOrEqual(0);
          expect(at.cursor).toBeLessThanOrEqual(Math.max(0, count - 1));
          expect(at.top).toBeLessThanOrEqual(at.cursor);
          expect(at.cursor).toBeLessThan(at.top + height);
        },
      ),
    );
  });

  it('moves by keys', () => {
    const down = { ...NO_KEY, downArrow: true };
    expect(scrolled(AT_TOP, '', down, 100, 10)).toEqual({ cursor: 1, top: 0 });
    expect(scrolled({ cursor: 9, top: 0 }, 'j', NO_KEY, 100, 10)).toEqual({ cursor: 10, top: 1 });
    expect(scrolled(AT_TOP, '', { ...NO_KEY, end: true }, 100, 10)).toEqual({ cursor: 99, top: 90 });
    expect(scrolled(AT_TOP, 'x', NO_KEY, 100, 10)).toBeUndefined();
  });
});

describe('typed text', () => {
  const entered = (...keys: readonly (readonly [string, Partial<typeof NO_KEY>])[]): Entry | string => {
    let entry: Entry | 'done' | 'cancelled' = entryOf('');
    for (const [input, key] of keys) {
      if (typeof entry === 'string') break;
      entry = typed(entry, input, { ...NO_KEY, ...key });
    }
    return entry;
  };

  it('is edited by whole signs, and ends with Enter or Esc', () => {
    expect(entered(['a', {}], ['👍', {}], ['', { leftArrow: true }], ['b', {}])).toEqual({ text: 'ab👍', at: 2 });
    expect(entered(['a', {}], ['👍', {}], ['', { backspace: true }])).toEqual({ text: 'a', at: 1 });
    expect(entered(['abc', {}], ['u', { ctrl: true }])).toEqual({ text: '', at: 0 });
    expect(entered(['a', {}], ['', { return: true }])).toBe('done');
    expect(entered(['a', {}], ['', { escape: true }])).toBe('cancelled');
    expect(entered(['', { backspace: true }])).toBe('cancelled');
    expect(entered(['x'.repeat(600), {}])).toEqual({ text: '', at: 0 });
  });

  it('is shown around its cursor on any width', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 40, max: 90 }), (text, columns) => {
        expect(widthOf(entryLine('/', entryOf(text), look({ columns }), 'a hint'))).toBeLessThanOrEqual(columns);
      }),
    );
    expect(entryLine('/', entryOf('abc'), look())).toMatch(/^\/abc_/);
  });

  it('a question is answered by y alone', () => {
    expect(confirmLine('Kick 9c1e?', look())).toContain('Kick 9c1e?');
    expect(answerOf('y', NO_KEY)).toBe(true);
    expect(answerOf('n', NO_KEY)).toBe(false);
    expect(answerOf('', { ...NO_KEY, return: true })).toBeUndefined();
  });
});

describe('keys', () => {
  const keys = ['a', 'b', 'c'].map((key) => ({ key, word: 'word', does: `does ${key}` }));

  it('are named as far as there is place, help always', () => {
    expect(keyLine(keys, look())).toBe(' a word  b word  c word  ? help');
    expect(keyLine(keys, look({ columns: 22 }))).toBe(' a word  ? help');
  });

  it('have a page that fits', () => {
    const lines = helpLines('tail', keys, ['a note'], look({ rows: 4 }));
    expect(lines).toHaveLength(4);
    expect(lines.at(-1)).toContain('Any key');
    expect(helpLines('tail', keys, ['a note'], look()).join('\n')).toContain('does c');
  });

  it('have a page on which nothing is cut that several lines have place for', () => {
    const long = [...keys, { key: 'd', word: 'word', does: `does ${'what takes a long time to say '.repeat(4)}end` }];
    const words = helpLines('tail', long, [`${'a note '.repeat(20)}end`], look()).flatMap((text) => {
      expect(widthOf(text)).toBeLessThanOrEqual(80);
      return text.split(' ');
    });
    expect(words.filter((word) => word === 'end')).toHaveLength(2);
    expect(words.filter((word) => word === 'note')).toHaveLength(20);
  });
});

function Small(): ReactNode {
  const { exit } = useApp();
  useKeys((input) => input === 'q' && exit());
  return createElement(Screen, { draw: ({ columns, rows }) => [`drawn on ${columns} x ${rows}`, ''] });
}

describe('the frame of a view', () => {
  it('says in a line that it has no place, and recovers when it has', async () => {
    const shown = await show(createElement(Small), 80, 24);
    expect(shown.lines()[0]).toBe('drawn on 80 x 24');
    await shown.resize(20, 5);
    expect(shown.lines()).toEqual(['needs 40 x 8; q ends']);
    await shown.resize(200, 60);
    expect(shown.lines()[0]).toBe('drawn on 200 x 60');
    await shown.press('q');
    await shown.ended;
  });

  it('ends as interrupted with Ctrl-C', async () => {
    const shown = await show(createElement(Small), 80, 24);
    await shown.press(KEYS.ctrlC);
    await expect(shown.ended).rejects.toMatchObject({ code: 'interrupted' });
  });
});
