// `tail` without a view: an object a line as it came, or, for a person at a terminal that can only lines, a row in words.
// It takes from the server what its own reader takes; what that is too slow for is dropped there, counted, and said here.

import { ImgoError } from '../../protocol/errors.js';
import { formatDuration } from '../../server/units.js';
import type { Api } from '../api.js';
import type { Output } from '../output.js';
import { cell } from '../tui/cells.js';
import { line } from '../tui/line.js';
import { lookOf } from '../tui/look.js';
import { isOfTheStream, numberIn, readEvent, textIn } from './event.js';
import { streamPath, type TailOptions, watchedText } from './options.js';
import { nobodyThere } from './presence.js';
import { Sift } from './sift.js';
import { type EventLine, type WatchState, watch } from './watch.js';
import { wordsOf } from './words.js';

/** Prints until enough came, the time is over, or a signal. @throws ImgoError timeout, interrupted, what watch.ts throws */
export async function printEvents(options: TailOptions, api: Api, output: Output): Promise<void> {
  const stop = new AbortController();
  let over: ImgoError | undefined;
  const end = (why: ImgoError | undefined): void => {
    over ??= why;
    stop.abort();
  };
  const interrupt = () => end(new ImgoError('interrupted'));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const { timeoutMs } = options;
  const timedOut = () => end(new ImgoError('timeout', { duration: formatDuration(timeoutMs ?? 0) }));
  const timer = timeoutMs === undefined ? undefined : setTimeout(timedOut, timeoutMs);
  const printer = new Printer(options, api, output, stop);
  try {
    await watch(api, streamPath(options, false), printer, stop.signal);
  } finally {
    clearTimeout(timer);
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
  if (over !== undefined) throw over;
}

class Printer {
  readonly #options: TailOptions;
  readonly #api: Api;
  readonly #output: Output;
  readonly #stop: AbortController;
  readonly #sift: Sift;
  readonly #inWords: boolean;
  #left: number;
  #said = false;

  constructor(options: TailOptions, api: Api, output: Output, stop: AbortController) {
    this.#options = options;
    this.#api = api;
    this.#output = output;
    this.#stop = stop;
    this.#sift = new Sift(options);
    this.#inWords = output.isTerminal && !output.json;
    this.#left = options.count ?? Number.POSITIVE_INFINITY;
  }

  async events(lines: readonly EventLine[]): Promise<void> {
    const [first] = lines;
    if (first?.name === 'watching' && !this.#said) this.#sayWho(first);
    const wanted = this.#within(this.#sift.pass(lines));
    // Without a keepalive now and then a program would not learn, while nothing happens, that its reader has gone.
    const texts = this.#inWords
      ? wanted.filter(({ name }) => name !== 'keepalive').map(({ text }) => inWords(text))
      : wanted.map(({ text }) => text);
    if (texts.length > 0) await this.#output.raw(`${texts.join('\n')}\n`);
    if (this.#left <= 0) this.#stop.abort();
  }

  state(state: WatchState): void {
    if (state.is === 'live') return;
    const seconds = Math.max(0, (state.againAt - Date.now()) / 1_000).toFixed(1);
    this.#output.note(`Connection lost (${state.why}); again in ${seconds} s.`);
  }

  /** As many events as are still asked for, and what is said of the stream meanwhile. */
  #within(lines: readonly EventLine[]): readonly EventLine[] {
    if (this.#left === Number.POSITIVE_INFINITY) return lines;
    return lines.filter(({ name }) => {
      if (this.#left <= 0) return false;
      if (!isOfTheStream(name)) this.#left -= 1;
      return true;
    });
  }

  #sayWho(watching: EventLine): void {
    this.#said = true;
    const event = readEvent(watching.text);
    const sessions = (event && numberIn(event, 'sessions')) ?? 0;
    const output = this.#output;
    output.note(`Watching ${watchedText(this.#options)}. Ctrl-C stops.`);
    if (sessions === 0) void nobodyThere(this.#options, this.#api, this.#stop.signal).then((text) => output.note(text));
  }
}

/** A row for a person. */
function inWords(text: string): string {
  const event = readEvent(text);
  if (event === undefined) return text;
  const { time, sign, what, id, size, took, note, colour } = wordsOf(event);
  const who = textIn(event, 'session') ?? textIn(event, 'node') ?? '';
  const cells = [
    cell(who, 18),
    `${sign} ${cell(what, 14)}`,
    cell(id, 12),
    cell(size, 9, 'right'),
    cell(took, 7, 'right'),
  ];
  return line([`${time}  `, { text: `${cells.join('  ')}  ${note}`, colour }], lookOf(process.stdout));
}
