// The try-it page: a client of this server in a browser, beside a form that pushes. One sees a message go in and come out, what
// the frames say, and that what was pushed to who is away arrives when they are back.
//
//   session-panel  who connects, offline, rooms    connection, line   the client library on a line that can be cut
//   push-form      what is pushed, and to copy     message-rows, frame-rows, feed   what arrives, in bounded lists
//   overview       sessions, rooms, errors         api, json, snippets, frames, format   no document needed

import type { RoomId } from '../protocol/ids.js';
import { Api, type Problem } from './api.js';
import { Connection, type State, sentence } from './connection.js';
import { byId, say, tabs } from './dom.js';
import type { Facts } from './facts.js';
import { FrameRows } from './frame-rows.js';
import { acknowledgedBy, framesOf } from './frames.js';
import { MessageRows } from './message-rows.js';
import { Overview } from './overview.js';
import { PushForm } from './push-form.js';
import { SessionPanel } from './session-panel.js';
import type { Caller } from './snippets.js';

const facts = JSON.parse(byId('facts').textContent ?? '') as Facts;
say(byId('mode'), facts.mode);
byId('mode').dataset['mode'] = facts.mode;
say(byId('version'), facts.version);

const caller: Caller = { server: location.origin, command: facts.command, needsKey: facts.mode === 'production' };
const api = new Api((problem) => failed(problem));
const messages = new MessageRows(caller);
const frames = new FrameRows((ms) => panel.trip(ms));
const push = new PushForm(api, facts, caller, (log, id, at) => messages.pushed(log, id, at));
const connection = new Connection(api, {
  state: (state) => {
    noteBreaks(state);
    panel.show(state);
    if (state.kind === 'connected') overview.own = state.opened.session ?? '';
  },
  message: (message, isKept, at) => messages.add(message, isKept, at),
  gap: (gap) => messages.gap(gap),
  rooms: (rooms) => panel.rooms(rooms),
  failed: (problem) => failed(problem),
  frame: (direction, data, at) => {
    frames.add(direction, data, at);
    if (direction === 'in') return;
    for (const frame of framesOf(direction, data, at)) {
      const id = acknowledgedBy(frame);
      if (id !== undefined) panel.acknowledged(id);
    }
  },
});
const panel = new SessionPanel(facts, {
  connection,
  key: (key) => {
    api.key = key;
  },
  user: (user) => push.setUser(user),
  room: (room) => push.setRoom(room),
  push: (user, message) => push.pushTo(user, message),
});
const overview = new Overview(
  api,
  () => facts.mode === 'development' || api.hasKey,
  (room) => void panel.joinRoom(room as RoomId),
);

function failed(problem: Problem): void {
  overview.failed(problem);
  // Somebody made the first key since the page was opened.
  if (problem.code === 'key_missing') panel.askForKey();
}

/** What happened to the connection stands between the messages. */
let before: State['kind'] = 'idle';
function noteBreaks(state: State): void {
  if (state.kind === 'offline') messages.note('offline', 'Offline: the connection is gone, the server knows.');
  if (state.kind === 'waiting' && before === 'connected')
    messages.note('offline', `Connection lost. ${sentence(state.reason)}`);
  if (state.kind === 'connected' && state.opened.again) messages.note('online', 'Back. What was kept follows.');
  before = state.kind;
}

tabs(byId('arrival-tabs'), () => {
  messages.shown();
  frames.shown();
});
let isPaused = false;
byId('pause').addEventListener('click', () => {
  isPaused = !isPaused;
  messages.pause(isPaused);
  frames.pause(isPaused);
  byId('pause').setAttribute('aria-pressed', String(isPaused));
  say(byId('pause'), isPaused ? 'Resume' : 'Pause');
});
byId('clear').addEventListener('click', () => {
  messages.clear();
  frames.clear();
});
