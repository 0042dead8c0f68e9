// What reaches the terminal of a view: the lines that have changed, each in its place.
import { describe, expect, it } from 'vitest';
import { Painter } from '../../../../src/cli/tui/painter.js';

const SIZE = { columns: 40, rows: 3 };
const [BEGIN, END] = ['\u001b[?2026h', '\u001b[H\u001b[?2026l'];

function terminal() {
  const written: string[] = [];
  const painter = new Painter({ write: (text: string) => written.push(text) > 0 } as unknown as NodeJS.WriteStream);
  return { written, painter };
}

/** A line in its row, counted from 1. */
function row(at: number, text: string): string {
  return `\u001b[${at};1H\u001b[K${text}`;
}

describe('a painter', () => {
  it('clears an unknown terminal, then writes only what has changed', () => {
    const { written, painter } = terminal();
    painter.paint(['a', 'b', 'c'], SIZE);
    painter.paint(['a', 'B', 'c'], SIZE);
    painter.paint(['a', 'B', 'c'], SIZE);
    expect(written).toEqual([
      `${BEGIN}\u001b[2J${row(1, 'a')}${row(2, 'b')}${row(3, 'c')}${END}`,
      `${BEGIN}${row(2, 'B')}${END}`,
    ]);
  });

  it('erases the lines that are no more, and leaves out those that have no place', () => {
    const { written, painter } = terminal();
    painter.paint(['a', 'b', 'c', 'd'], SIZE);
    painter.paint(['a'], SIZE);
    expect(written[0]).not.toContain('d');
    expect(written[1]).toBe(`${BEGIN}${row(2, '')}${row(3, '')}${END}`);
  });

  it('paints whole after another size, and after its terminal has moved lines about', () => {
    const { written, painter } = terminal();
    painter.paint(['a'], SIZE);
    painter.paint(['a'], { columns: 39, rows: 3 });
    painter.forget();
    painter.paint(['a'], { columns: 39, rows: 3 });
    expect(written).toEqual(Array.from({ length: 3 }, () => `${BEGIN}\u001b[2J${row(1, 'a')}${END}`));
  });

  it('writes nothing while somebody else has the terminal, and the newest frame whole when it has it again', () => {
    const { written, painter } = terminal();
    painter.paint(['a', 'b'], SIZE);
    painter.pause();
    painter.paint(['a', 'c'], SIZE);
    expect(written).toHaveLength(1);
    painter.resume();
    expect(written[1]).toBe(`${BEGIN}\u001b[2J${row(1, 'a')}${row(2, 'c')}${END}`);
  });
});
