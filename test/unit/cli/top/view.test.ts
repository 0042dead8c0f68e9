// What one sees in imgo top: on every size of terminal, in every view, with many nodes, without a server; and what keys do.
import { createElement } from 'react';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Action } from '../../../../src/cli/top/act.js';
import { firstState, type View } from '../../../../src/cli/top/state.js';
import { TopView } from '../../../../src/cli/top/view.js';
import { widthOf } from '../../../../src/cli/tui/cells.js';
import { ImgoError } from '../../../../src/protocol/errors.js';
import { KEYS, type Shown, show } from '../../../harness/terminal.js';
import { node } from '../../observe/facts.js';
import { cluster, MadeUp } from './answers.js';

const before = { ...process.env };
beforeAll(() => void Object.assign(process.env, { LC_ALL: 'C.UTF-8', NO_COLOR: '1' }));
afterAll(() => {
  for (const name of ['LC_ALL', 'NO_COLOR']) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
});

interface Seen {
  readonly source: MadeUp;
  readonly screen: Shown;
  readonly done: Action[];
}

async function see(source: MadeUp, columns = 100, rows = 30, view: View = 'nodes'): Promise<Seen> {
  const done: Action[] = [];
  const screen = await show(
    createElement(TopView, {
      source,
      first: firstState({ view, sort: undefined, filter: '' }),
      server: 'prod-eu',
      intervalMs: 1_000,
      act: async (action: Action) => {
        done.push(action);
        return 'done';
      },
    }),
    columns,
    rows,
  );
  return { source, screen, done };
}

/** Two answers a second apart, so that there are rates. */
async function running(nodes: number, columns = 100, rows = 30, view: View = 'nodes'): Promise<Seen> {
  const seen = await see(new MadeUp(cluster(nodes, 10)), columns, rows, view);
  seen.source.answer(cluster(nodes, 11));
  await seen.screen.settled();
  return seen;
}

/** The rows of the table of nodes. */
function nodesOf(screen: Shown): readonly string[] {
  const lines = screen.lines();
  const from = lines.findIndex((one) => one.includes('NODES 1,000'));
  const to = lines.findIndex((one) => one.includes('ROOMS '));
  return lines.slice(from + 2, to);
}

/** The words of a line. */
const words = (text: string | undefined) => (text ?? '').trim().split(/\s+/);

describe('a screen', () => {
  it.each([
    [80, 24],
    [100, 30],
    [200, 60],
    [40, 8],
    [60, 14],
  ])('of %i x %i is filled, and no line is longer', async (columns, rows) => {
    const { screen } = await running(12, columns, rows);
    const lines = screen.lines();
    expect(lines).toHaveLength(rows);
    expect(Math.max(...lines.map(widthOf))).toBeLessThanOrEqual(columns);
    expect(lines[0]).toMatch(/imgo top {2}prod-eu/);
    expect(screen.text()).toContain('c12');
    expect(lines.at(-1)).toContain('? help');
    screen.end();
  });

  it('of 20 x 5 says that it is too small, and is drawn again when it grows', async () => {
    const { screen } = await running(2, 20, 5);
    expect(screen.text()).toContain('needs 40 x 8');
    await screen.resize(100, 30);
    expect(screen.text()).toContain('NODES 2');
    screen.end();
  });

  it('has what one asks: connections, rates, latency, the nodes, rooms and slow sessions', async () => {
    const { screen } = await running(3);
    const text = screen.text();
    expect(text).toMatch(/CONNS +3,003 of 195,000/);
    expect(text).toMatch(/DELIVERED +108 k \/s/);
    expect(text).toMatch(/27 k flush\/s/);
    expect(words(screen.lines().find((one) => one.includes('c3 ')))).toEqual(
      expect.arrayContaining(['1,002', '36', 'k']),
    );
    expect(text).toMatch(/live +3 +2,700/);
    expect(text).toMatch(/s_0000000000000001 +1 /);
    screen.end();
  });

  it('draws nothing but ASCII where the locale has nothing else, and no colour without one', async () => {
    process.env['LC_ALL'] = 'C';
    const { screen } = await running(3);
    const text = screen.text();
    process.env['LC_ALL'] = 'C.UTF-8';
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
    expect(text).toMatch(/^[\u000a\u0020-\u007e]*$/);
    // Every sign has a twin: nothing is shown as unknown.
    expect(text.replace('? help', '')).not.toContain('?');
    screen.end();
  });
});

describe('columns that have no place', () => {
  const titles = async (columns: number) => {
    const { screen } = await running(3, columns);
    const line = screen.lines().find((one) => one.includes('NODE '));
    screen.end();
    return words(line);
  };

  it('leave in their order: RSS, then FLUSH/s, then roles', async () => {
    expect(await titles(100)).toEqual(expect.arrayContaining(['RSS', 'FLUSH/s', 'ROLE', 'STATE']));
    expect(await titles(95)).not.toContain('RSS');
    expect(await titles(95)).toContain('FLUSH/s');
    expect(await titles(80)).not.toContain('FLUSH/s');
    expect(await titles(80)).toEqual(expect.arrayContaining(['NODE', 'CONNS', 'OUT/s', 'LOOP99', 'STATE']));
    expect(await titles(45)).toEqual(expect.arrayContaining(['NODE', 'CONNS', 'OUT/s']));
  });
});

describe('1,000 nodes', () => {
  it('scroll to the last one, and only those that are seen are asked for', async () => {
    const { screen, source } = await running(1_000);
    expect(screen.text()).toContain('NODES 1,000');
    await screen.press('s', 's', KEYS.end);
    await screen.settled();
    const asked = new URL(source.asked.at(-1) ?? '', 'http://server').searchParams;
    expect(Number(asked.get('from'))).toBeGreaterThan(900);
    expect(Number(asked.get('limit'))).toBeLessThan(30);
    const rows = nodesOf(screen);
    expect(rows.length).toBeGreaterThan(5);
    expect(rows.at(-1)).toMatch(/^▸/);
    await screen.press(KEYS.home);
    expect(nodesOf(screen)[0]).toMatch(/^▸/);
    screen.end();
  });

  it('are an answer of 20 KB at most, page by page without a hole', async () => {
    const { source, screen } = await running(1_000, 200, 60);
    const seen = new Set<string>();
    for (let at = 0; at < 150; at++) {
      for (const { node: name } of source.known.moment?.answer.nodes.items ?? []) seen.add(name);
      expect(JSON.stringify(source.known.moment?.answer).length).toBeLessThanOrEqual(20_000);
      await screen.press(KEYS.pageDown);
      if (seen.size === 1_000) break;
    }
    expect(seen.size).toBe(1_000);
    screen.end();
  }, 60_000);
});

describe('keys', () => {
  it('go into a node, a room, a session, and come back to where one was', async () => {
    const { screen, source } = await running(3);
    await screen.press(KEYS.down, KEYS.enter);
    expect(screen.text()).toContain('node c2 · PROCESSES 1');
    expect(source.asked.at(-1)).toContain('node=c2');
    await screen.press('4', KEYS.enter);
    expect(screen.text()).toMatch(/SESSION s_\d+/);
    expect(screen.text()).toContain('is connected no more');
    await screen.press(KEYS.escape, KEYS.escape);
    expect(screen.lines().find((one) => one.startsWith('▸'))).toContain('c2');
    await screen.press('2', KEYS.enter);
    expect(source.asked.at(-1)).toContain('room=live');
    expect(screen.text()).toContain('room live · ROOMS 3');
    screen.end();
  });

  it.each([
    ['1', 'NODES 3'],
    ['2', 'ROOMS 4'],
    ['3', 'USERS of slow sessions 6'],
    ['4', 'SLOWEST SESSIONS 6 of 2,700'],
    ['5', 'QUEUE'],
    ['6', 'LIMITS 3'],
    ['7', 'ALERTS 0'],
    ['a', 'ALERTS 0'],
    ['?', 'Any key goes back'],
  ])('%s shows %s', async (key, text) => {
    const { screen } = await running(3);
    await screen.press(key);
    expect(screen.text()).toContain(text);
    screen.end();
  });

  it('filter rows by name, and take the filter away', async () => {
    const { screen, source } = await running(30);
    await screen.press('/', 'c', '2', '1', KEYS.enter);
    expect(source.asked.at(-1)).toContain('search=c21');
    expect(screen.text()).toContain('NODES 1 · with "c21"');
    await screen.press(KEYS.escape);
    expect(screen.text()).toContain('NODES 30');
    screen.end();
  });

  it('sort by the next order', async () => {
    const { screen, source } = await running(3);
    expect(screen.text()).toContain('sort: ▾conns');
    await screen.press('s');
    expect(source.asked.at(-1)).toContain('nodes_by=fd');
    screen.end();
  });

  it('find a user who is not slow by id', async () => {
    const { screen } = await running(3, 100, 30, 'users');
    await screen.press('/', '7', '7', '7', KEYS.enter, KEYS.enter);
    expect(screen.text()).toContain('user 777');
    screen.end();
  });

  it('kick and drain only after a yes, and say the command that does the same', async () => {
    const { screen, done } = await running(3);
    await screen.press('D');
    expect(screen.lines().at(-1)).toMatch(/clients of c3 .*imgo drain c3\).*y yes {2}n no/);
    await screen.press('n');
    expect(done).toEqual([]);
    await screen.press('D', 'y');
    expect(done.map(({ command }) => command)).toEqual(['imgo drain c3']);
    expect(screen.lines().at(-1)).toContain('done');
    await screen.press('4', 'K', KEYS.enter);
    expect(screen.lines().at(-1)).toContain('imgo kick s_0000000000000001');
    await screen.press('y');
    expect(done.map(({ command }) => command)).toContain('imgo kick s_0000000000000001');
    screen.end();
  });

  it('hold what is shown while paused, and go on', async () => {
    const { screen, source } = await running(3);
    await screen.press(' ');
    source.answer(cluster(5, 12));
    await screen.settled();
    expect(screen.text()).toContain('NODES 3');
    expect(screen.lines()[0]).toContain('paused');
    await screen.press('p');
    expect(screen.text()).toContain('NODES 5');
    screen.end();
  });

  it('q ends it', async () => {
    const { screen } = await running(3);
    await screen.press('q');
    await screen.ended;
  });

  it('Ctrl-C ends it as interrupted', async () => {
    const { screen } = await running(3);
    await screen.press(KEYS.ctrlC);
    await expect(screen.ended).rejects.toMatchObject({ code: 'interrupted' });
  });
});

describe('what is not as it should be', () => {
  it('a server that does not answer is said, and what was known stays', async () => {
    const { screen, source } = await running(3);
    source.silence(6_000, new ImgoError('unreachable', { tried: '' }));
    await screen.settled();
    expect(screen.lines()[0]).toMatch(/○ no answer for 6s, retrying/);
    expect(screen.text()).toContain('NODES 3');
    source.answer(cluster(3, 20));
    await screen.settled();
    expect(screen.lines()[0]).toContain('● live');
    screen.end();
  });

  it('before the first answer it waits, and does not look broken', async () => {
    const source = new MadeUp(cluster(1));
    source.now = () => undefined;
    const { screen } = await see(source);
    expect(screen.text()).toContain('waiting for the first answer');
    screen.end();
  });

  it('nodes that are silent, gone, full or late say so', async () => {
    const made = cluster(1, 11);
    const full = {
      descriptors: { used: 995, limit: 1_000 },
      memory: { rssBytes: 1, limitBytes: 0, availableBytes: 0, constrained: false },
    };
    const nodes = [
      node('silent', { silentMs: 4_000 }),
      node('gone', { state: 'gone' }),
      node('full', { comet: { ...made.nodes[0]?.comet, process: full } as never }),
      node('late', { comet: { ...made.nodes[0]?.comet, loopP99Ms: 212 } as never }),
      node('leaving', { state: 'draining' }),
    ];
    const { screen, source } = await see(new MadeUp(cluster(1, 10)));
    source.answer({ ...made, nodes });
    await screen.settled();
    const stateOf = (name: string) => words(screen.lines().find((one) => one.slice(1).startsWith(name))).slice(-1)[0];
    expect(['silent', 'gone', 'full', 'late', 'leaving'].map(stateOf)).toEqual([
      '4s',
      'gone',
      'fd',
      'loop',
      'draining',
    ]);
    expect(screen.text()).toContain('✖ node_unreachable');
    await screen.press('a');
    expect(screen.text()).toContain('→ LimitNOFILE=1048576');
    screen.end();
  });

  it('names from elsewhere cannot write to the terminal', async () => {
    const { screen, source } = await see(new MadeUp(cluster(1, 10)));
    const made = cluster(1, 11);
    source.answer({ ...made, nodes: made.nodes.map((one) => ({ ...one, node: 'c\u001b[2J' as never })) });
    await screen.settled();
    expect(screen.text()).toContain('c\\x1b[2J');
    screen.end();
  });
});
