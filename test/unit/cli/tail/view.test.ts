// The view of `tail` on terminals of all sizes: what it shows of a stream, and what each key does.
import { createElement } from 'react';
import { describe, expect, it, vi } from 'vitest';
import { TailApp } from '../../../../src/cli/tail/app.js';
import { Feed } from '../../../../src/cli/tail/feed.js';
import { MOST_EVENTS } from '../../../../src/cli/tail/kept.js';
import { readTailOptions } from '../../../../src/cli/tail/options.js';
import { TailState } from '../../../../src/cli/tail/state.js';
import type { EventLine } from '../../../../src/cli/tail/watch.js';
import { widthOf } from '../../../../src/cli/tui/cells.js';
import type { NodeEvent, StreamEvent } from '../../../../src/server/observe/events.js';
import { KEYS, type Shown, show } from '../../../harness/terminal.js';

// A terminal has colours; what is drawn is compared without them.
process.env['NO_COLOR'] = '1';

const AT = new Date(2026, 0, 2, 14, 2, 10).getTime();
const SESSION = { session: 's_one', user: '123456', device: 'phone', node: 'b' };
const PAYLOAD = '{"big":12345678901234567890,"text":"日本","list":[1,{}]}';

function lineOf(event: NodeEvent | StreamEvent): EventLine {
  return { name: event.event, text: JSON.stringify(event) };
}

function push(n: number, over: Partial<NodeEvent> = {}): EventLine {
  return lineOf({
    event: 'frame',
    at: AT + n,
    ...SESSION,
    direction: 'out',
    op: 5,
    name: 'push',
    seq: n,
    bytes: 58,
    log: 'user:123456',
    id: `1-${n}`,
    ms: 1.9,
    header: { ver: 2, epoch: 1 },
    ...over,
  } as NodeEvent);
}

const WATCHING = lineOf({ event: 'watching', at: AT, sessions: 2, nodes: 1, version: '0.1.0' });
const STORY: readonly EventLine[] = [
  WATCHING,
  lineOf({ event: 'open', at: AT, ...SESSION, dialect: 'native', transport: 'ws', peer: '10.1.0.7' }),
  push(8840),
  lineOf({
    event: 'frame',
    at: AT,
    ...SESSION,
    direction: 'in',
    op: 256,
    name: 'ack',
    seq: 4,
    bytes: 28,
    log: 'user:123456',
    id: '1-8840',
    ms: 7,
    header: {},
  }),
  lineOf({
    event: 'frame',
    at: AT,
    ...SESSION,
    direction: 'in',
    op: 2,
    name: 'heartbeat',
    seq: 91,
    bytes: 16,
    header: {},
  }),
  lineOf({ event: 'held', at: AT, ...SESSION, session: 's_two', bytes: 70_000 }),
  lineOf({
    event: 'gap',
    at: AT,
    ...SESSION,
    session: 's_two',
    log: 'user:123456',
    after: '1-8802',
    upTo: '1-8820',
    reason: 'log',
    untold: true,
  }),
  lineOf({ event: 'dropped', at: AT, count: 7, reason: 'slow_reader' }),
];

interface Stage {
  readonly feed: Feed;
  readonly state: TailState;
  readonly shown: Shown;
}

async function stage(columns: number, rows: number, events: readonly EventLine[] = STORY): Promise<Stage> {
  const feed = new Feed(readTailOptions({ user: ['123456'], payload: 'full' }), () => {});
  const state = new TailState(feed);
  feed.state({ is: 'live' });
  feed.events(events);
  const shown = await show(createElement(TailApp, { state, server: 'localhost:7172' }), columns, rows);
  return { feed, state, shown };
}

/** Resolves when it is drawn. */
async function drawn(shown: Shown, pattern: RegExp): Promise<void> {
  await vi.waitFor(() => expect(shown.text()).toMatch(pattern), 10_000);
}

function fits(lines: readonly string[], columns: number, rows: number): void {
  expect(lines.length).toBeLessThanOrEqual(rows);
  for (const text of lines) expect(widthOf(text)).toBeLessThanOrEqual(columns);
}

describe('the view of tail', () => {
  it.each([
    [200, 60],
    [100, 30],
    [80, 24],
    [60, 14],
    [40, 8],
  ] as const)('fits %i x %i, whatever is open', async (columns, rows) => {
    const { shown } = await stage(columns, rows);
    for (const keys of [
      [],
      [KEYS.up],
      [KEYS.enter],
      ['p'],
      ['x'],
      [KEYS.escape],
      ['?'],
      ['z'],
      ['/'],
      ['gap'],
      [KEYS.enter],
    ]) {
      await shown.press(...keys);
      fits(shown.lines(), columns, rows);
    }
    shown.end();
  });

  it('shows sessions with numbers, and events in words', async () => {
    const { shown } = await stage(100, 30);
    const text = shown.text();
    expect(shown.lines()[0]).toMatch(/^imgo tail {2}user 123456 · localhost:7172 +● live$/);
    expect(text).toMatch(/ 2 sessions .* 5 events .* dropped 7 /);
    expect(text).toMatch(/ 1 {2}s_one +phone +native ws/);
    expect(text).toMatch(/ 2 {2}s_two +.* held /);
    expect(text).toMatch(/14:02:18\.840 +1 {2}← push 5 +1-8840 +58 B +1\.9 ms +accepted→socket/);
    expect(text).toMatch(/ 1 {2}→ ack 256 +1-8840 +28 B +7 ms +socket→ack/);
    expect(text).toMatch(/ 2 {2}✖ gap +1-8802…8820 +18 messages, client not told/);
    expect(text).toMatch(/✖ dropped +7 +events: this reader was too/);
    expect(text).not.toContain('heartbeat 2');
    shown.end();
  });

  it('of an id with a long epoch the end is shown', async () => {
    const { shown } = await stage(80, 24, [WATCHING, push(1, { id: '1796094455-8840' })]);
    expect(shown.text()).toMatch(/ push 5 +…-8840 /);
    shown.end();
  });

  it('is coloured only where that is wanted', async () => {
    process.env['NO_COLOR'] = '';
    try {
      const { shown } = await stage(100, 30);
      expect(shown.text()).toContain('\u001b[31m✖ gap');
      shown.end();
    } finally {
      process.env['NO_COLOR'] = '1';
    }
  });

  it('has no colour and no sign beyond ASCII where the locale has none', async () => {
    const before = process.env['LANG'];
    Object.assign(process.env, { LANG: 'C', LC_ALL: '', LC_CTYPE: '' });
    try {
      const { shown } = await stage(80, 24);
      for (const key of ['', KEYS.enter, 'p', '?']) {
        if (key !== '') await shown.press(key);
        expect(shown.text()).not.toMatch(/[^\n\u0020-\u007f]/);
        fits(shown.lines(), 80, 24);
      }
      shown.end();
    } finally {
      process.env['LANG'] = before;
    }
  });

  it('says in one line that it has no place, and comes back', async () => {
    const { shown } = await stage(20, 5);
    expect(shown.lines()).toEqual(['needs 40 x 8; q ends']);
    await shown.resize(80, 24);
    expect(shown.text()).toContain('EVENTS');
    shown.end();
  });
});

describe('keys', () => {
  it('h shows heartbeats, e leaves frames out', async () => {
    const { shown } = await stage(100, 30);
    await shown.press('h');
    expect(shown.text()).toContain('→ heartbeat 2');
    await shown.press('e');
    expect(shown.text()).not.toContain('push 5');
    expect(shown.text()).toContain('✖ gap');
    shown.end();
  });

  it('up pauses at the newest, what comes is counted, g follows again', async () => {
    const set = await stage(100, 30);
    await set.shown.press(KEYS.up);
    set.feed.events([push(9_001), push(9_002)]);
    await drawn(set.shown, /paused, 2 since/);
    expect(set.shown.text()).toMatch(/▸.*dropped/);
    expect(set.shown.text()).not.toMatch(/push 5 +1-9002/);
    await set.shown.press('g');
    expect(set.shown.text()).toMatch(/push 5 +1-9002/);
    expect(set.shown.text()).toContain('following');
    set.shown.end();
  });

  it('enter decodes, p shows JSON with its integers as they are, x the bytes', async () => {
    const body = Buffer.from(PAYLOAD).toString('base64');
    const { shown } = await stage(100, 40, [WATCHING, push(1, { body } as Partial<NodeEvent>)]);
    await shown.press(KEYS.up, KEYS.enter);
    expect(shown.text()).toContain('─ frame user:123456@1-1 ─');
    expect(shown.text()).toMatch(/header epoch +1/);
    await shown.press('p');
    expect(shown.lines().map((text) => text.trim())).toEqual(
      expect.arrayContaining(['"big": 12345678901234567890,', '{}']),
    );
    await shown.press('x');
    expect(shown.text()).toMatch(/000000 {2}7b 22 62 69 67 22 .* {2}\{"big":12/);
    await shown.press('x');
    expect(shown.text()).not.toContain('000000');
    shown.end();
  });

  it('a payload that was not asked for is not there', async () => {
    const { shown } = await stage(100, 30, [WATCHING, push(1)]);
    await shown.press(KEYS.enter, 'p');
    expect(shown.text()).toContain('--payload full shows it');
    shown.end();
  });

  it('/ finds in payloads, too, and n goes on to older ones', async () => {
    const body = Buffer.from(PAYLOAD).toString('base64');
    const events = Array.from({ length: 50 }, (_, at) =>
      push(at + 1, at % 20 === 0 ? ({ body } as Partial<NodeEvent>) : {}),
    );
    const { shown } = await stage(100, 30, events);
    await shown.press('/', '日本', KEYS.enter);
    expect(shown.text()).toMatch(/▸.* 1-41 /);
    await shown.press('n');
    expect(shown.text()).toMatch(/▸.* 1-21 /);
    await shown.press('N');
    expect(shown.text()).toMatch(/▸.* 1-41 /);
    await shown.press('N');
    expect(shown.text()).toContain('No newer event with 日本.');
    shown.end();
  });

  it('f shows what has all its words; esc takes it back', async () => {
    const { shown } = await stage(100, 30);
    await shown.press('f', 'gap #2', KEYS.enter);
    expect(shown.text()).toContain('filter gap #2');
    expect(shown.text()).toContain('✖ gap');
    expect(shown.text()).not.toContain('push 5');
    await shown.press('f', ' !gap', KEYS.enter);
    expect(shown.text()).not.toContain('✖ gap');
    await shown.press(KEYS.escape);
    expect(shown.text()).toContain('push 5');
    shown.end();
  });

  it('a whole line at once is typed key by key, as a slow connection brings it', async () => {
    const { shown } = await stage(100, 30);
    await shown.press('fgap #2\r');
    expect(shown.text()).toContain('filter gap #2');
    shown.end();
  });

  it('q ends it', async () => {
    const { shown } = await stage(80, 24);
    await shown.press('q');
    await shown.ended;
  });
});

describe('a stream', () => {
  it('that is cut is said with what it missed, and nobody who is there, too', async () => {
    const nobody = lineOf({ event: 'watching', at: AT, sessions: 0, nodes: 1, version: '0.1.0' });
    const set = await stage(100, 30, [nobody]);
    set.feed.nobody = 'User 123456 has no session now. Waiting for one.';
    set.feed.state({ is: 'cut', since: Date.now() - 3_000, why: 'refused', againAt: Date.now() + 2_000 });
    await drawn(set.shown, /○ refused: cut 3s ago, again in [12]s/);
    expect(set.shown.text()).toContain('User 123456 has no session now.');
    const missed = { event: 'missed', at: AT, reason: 'connection_lost', from: AT, to: AT + 61_000 };
    set.feed.events([{ name: 'missed', text: JSON.stringify(missed) }]);
    await drawn(set.shown, /✖ missed +61 s +14:02:10 to 14:03:11, the/);
    set.shown.end();
  });

  it('of a server that has started again counts who is there now, not who was', async () => {
    const watching = (at: number, sessions: number) =>
      lineOf({ event: 'watching', at, sessions, nodes: 1, version: '0.1.0' });
    const opened = (at: number, session: string) =>
      lineOf({ event: 'open', at, ...SESSION, session, dialect: 'native', transport: 'ws', peer: '10.1.0.7' });
    const before = Array.from({ length: 200 }, (_, at) => opened(AT + 1 + at, `s_${at}`));
    const set = await stage(100, 30, [watching(AT, 0), ...before]);
    expect(set.shown.text()).toMatch(/ 200 sessions/);
    set.feed.events([watching(AT + 1_000, 0)]);
    await drawn(set.shown, / 0 sessions/);
    set.feed.events([opened(AT + 1_001, 's_new'), opened(AT + 1_002, 's_newer')]);
    await drawn(set.shown, / 2 sessions/);
    set.shown.end();
  });

  it('of any length takes the same memory, and all of it is counted', async () => {
    const set = await stage(100, 30, [WATCHING]);
    const batch = Array.from({ length: 1_000 }, (_, at) => push(at));
    for (let round = 0; round < 20; round += 1) set.feed.events(batch);
    expect(set.feed.total).toBe(20_000);
    expect(set.feed.kept.size).toBe(MOST_EVENTS);
    await drawn(set.shown, /last 5,000 kept/);
    const large = push(1, { body: 'x'.repeat(2 ** 20) } as Partial<NodeEvent>);
    set.feed.events([large, large, large, large]);
    expect(set.feed.kept.size).toBeLessThan(4);
    set.shown.end();
  });

  it('of another version shows what it does not know as it came', async () => {
    const { shown } = await stage(100, 30, [
      { name: 'brand_new', text: '{"event":"brand_new","at":1,"colour":"red"}' },
    ]);
    expect(shown.text()).toMatch(/· brand_new +\{"colour":"red"\}/);
    shown.end();
  });

  it('with control characters in it moves nothing on the terminal', async () => {
    const { shown } = await stage(100, 30, [
      push(1, { session: 's\u001b[2J\u0007', log: 'room:\u001b[31m' } as Partial<NodeEvent>),
    ]);
    await shown.press(KEYS.enter);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
    expect(shown.text()).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    shown.end();
  });
});
