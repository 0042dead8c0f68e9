// The process that draws a run on stderr, from what live.ts tells it. It ends when nothing more can come, and leaves the
// terminal as it was, also when the run is killed. Signals are for the run, which ends this one.

import { render } from 'ink';
import { createElement } from 'react';
import type { BenchSample } from '../../bench/figures.js';
import type { BenchPlan } from '../../bench/plan.js';
import { columns, isUnicode } from '../style.js';
import { type Moment, Track } from './track.js';
import { BenchView } from './view.js';

/** What it is told: first of all what is run, then samples, and that it was interrupted. */
export type ToScreen =
  | { readonly plan: BenchPlan; readonly cores: number; readonly reference: boolean; readonly coloured: boolean }
  | { readonly sample: BenchSample }
  | { readonly stopping: true };

/** Without news for so long it is drawn nevertheless: seconds go on. */
const REDRAW_MS = 1_500;
const TOP_LEFT = '\u001b[H';

const { stderr } = process;
let about: (Extract<ToScreen, { readonly plan: BenchPlan }> & { readonly track: Track }) | undefined;
let moment: Moment | undefined;
let told = 0;
let stopping = false;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

// A screen of its own, so that one that is resized is drawn anew and what was there before comes back. No keys are read:
// Ctrl-C stays a signal, and a stdin that is no terminal is left alone.
const ink = render(undefined, {
  stdout: stderr,
  alternateScreen: true,
  interactive: true,
  exitOnCtrlC: false,
  patchConsole: false,
});
// It begins where the cursor was on the other screen; there is nothing on this one yet.
stderr.write(TOP_LEFT);

const redraw = () => {
  timer.refresh();
  if (about === undefined || moment === undefined) return;
  const { plan, reference, coloured } = about;
  const agoMs = performance.now() - told;
  const size = { columns: columns(stderr), rows: stderr.rows ?? 24 };
  const props = { plan, moment, reference, agoMs, stopping, ...size, coloured, unicode: isUnicode() };
  ink.rerender(createElement(BenchView, props));
};
const timer = setTimeout(redraw, REDRAW_MS);

stderr.on('resize', redraw);
process.on('message', (message: ToScreen) => {
  if ('plan' in message) about = { ...message, track: new Track(message.plan, message.cores) };
  else if ('stopping' in message) stopping = true;
  else {
    moment = about?.track.add(message.sample);
    told = performance.now();
  }
  redraw();
});
process.on('disconnect', () => {
  clearTimeout(timer);
  stderr.off('resize', redraw);
  ink.unmount();
});
