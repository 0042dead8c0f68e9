// The form that pushes: to whom, what, for how long; whether it can go as it stands; what became of it; and the same call as
// text to copy.

import { isName } from '../protocol/ids.js';
import { utf8Length } from '../protocol/text.js';
import type { Api, Problem } from './api.js';
import { byId, copyButton, element, say, tabs } from './dom.js';
import type { Facts } from './facts.js';
import { bytesText, countText, durationText } from './format.js';
import { compactJson, jsonFault, prettyJson } from './json.js';
import { type Caller, commandText, curlText, fetchText, type PushOrder, pushBody, pushPath } from './snippets.js';

/** A name that the server takes. */
export const NAME_RULE = '1 to 128 bytes, no control characters.';

/** The answer to a push that is only asked about. */
interface Plan {
  readonly bytes: number;
  readonly ttlMs: number;
  readonly counts: { readonly sessions: number; readonly nodes: number; readonly kept: number };
}

/** What the page does with a push that was accepted. */
type Accepted = (log: string, id: string, at: number) => void;

interface Answer {
  readonly log?: string;
  readonly id?: string | null;
  readonly delivery?: {
    readonly online: number;
    readonly delivered: number;
    readonly ms: number;
    readonly keptUntil: string;
  };
}

export class PushForm {
  readonly #api: Api;
  readonly #facts: Facts;
  readonly #caller: Caller;
  readonly #accepted: Accepted;
  readonly #name = byId<HTMLInputElement>('to-name');
  readonly #message = byId<HTMLTextAreaElement>('message');
  readonly #ttl = byId<HTMLSelectElement>('ttl');
  readonly #wait = byId<HTMLInputElement>('wait');
  readonly #button = byId<HTMLButtonElement>('push');
  readonly #dryRun = byId<HTMLButtonElement>('dry-run');
  readonly #outcome = byId('outcome');
  /** What was typed for each kind of target. */
  readonly #names = { user: this.#name.value, room: 'lobby', all: '' };
  #kind: PushOrder['target']['kind'] = 'user';
  /** The name of the user is the page's own until somebody types another. */
  #ownName = true;
  #confirmed = false;

  constructor(api: Api, facts: Facts, caller: Caller, accepted: Accepted) {
    this.#caller = caller;
    this.#api = api;
    this.#facts = facts;
    this.#accepted = accepted;
    this.#message.value = '{\n  "text": "Hello",\n  "n": 1\n}';
    const form = byId<HTMLFormElement>('push-form');
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#push();
    });
    form.addEventListener('input', (event) => this.#changed(event.target));
    form.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      void this.#push();
    });
    this.#dryRun.addEventListener('click', () => void this.#askWhom());
    byId('format').addEventListener('click', () => {
      if (jsonFault(this.#message.value) === undefined) this.#message.value = prettyJson(this.#message.value);
      this.#show();
    });
    tabs(byId('same-tabs'));
    copyButton(byId('copy-curl'), () => curlText(this.#order(), caller));
    copyButton(byId('copy-command'), () => commandText(this.#order(), caller));
    copyButton(byId('copy-fetch'), () => fetchText(this.#order(), caller));
    this.#show();
  }

  /** The user that the page connects as: pushes go there unless somebody typed another one. */
  setUser(user: string): void {
    if (!this.#ownName) return;
    this.#names.user = user;
    if (this.#kind === 'user') this.#name.value = user;
    this.#show();
  }

  /** Offers a room that was joined. */
  setRoom(room: string): void {
    this.#names.room = room;
    if (this.#kind === 'room') this.#name.value = room;
    this.#show();
  }

  /** Pushes to a user without the form. @throws Problem */
  async pushTo(user: string, message: string): Promise<void> {
    const order: PushOrder = { target: { kind: 'user', name: user }, message, ttl: '', wait: false };
    const at = performance.now();
    this.#note((await this.#api.post(pushPath(order), pushBody(order))) as Answer, at);
  }

  #changed(target: EventTarget | null): void {
    this.#confirmed = false;
    if (target instanceof HTMLInputElement && target.name === 'to') {
      this.#names[this.#kind] = this.#name.value;
      this.#kind = target.value as PushOrder['target']['kind'];
      this.#name.value = this.#names[this.#kind];
      this.#name.setAttribute('aria-label', this.#kind === 'room' ? 'Room to push to' : 'User to push to');
    } else if (target === this.#name && this.#kind === 'user') this.#ownName = false;
    this.#show();
  }

  #order(): PushOrder {
    const name = this.#name.value;
    return {
      target: this.#kind === 'all' ? { kind: 'all' } : { kind: this.#kind, name },
      message: this.#message.value,
      ttl: this.#ttl.value,
      wait: this.#wait.checked,
    };
  }

  /** What keeps it from being pushed is said beside it; the texts to copy follow what is typed. */
  #show(): boolean {
    const order = this.#order();
    const { target, message, ttl } = order;
    const isNamed = target.kind === 'all' || isName(target.name);
    this.#name.hidden = target.kind === 'all';
    this.#name.setAttribute('aria-invalid', String(!isNamed));
    say(byId('to-problem'), isNamed ? '' : `Not the name of a ${target.kind}: ${NAME_RULE}`);
    this.#wait.disabled = target.kind !== 'user' || ttl === '0';
    const fault = jsonFault(message);
    const bytes = fault === undefined ? utf8Length(compactJson(message)) : 0;
    const isTooLarge = bytes > this.#facts.payloadBytes;
    const isGood = fault === undefined && !isTooLarge;
    this.#message.setAttribute('aria-invalid', String(!isGood));
    const state = byId('message-state');
    state.classList.toggle('problem', !isGood);
    const limit = bytesText(this.#facts.payloadBytes);
    say(
      state,
      fault !== undefined
        ? `Not JSON: line ${fault.line}, column ${fault.column}: ${fault.reason}.`
        : `${bytesText(bytes)} of ${limit}${isTooLarge ? ': too large for this server' : ''}`,
    );
    this.#button.disabled = !isGood || !isNamed;
    this.#dryRun.disabled = this.#button.disabled;
    say(this.#button, this.#confirmed ? 'Yes, push to everybody' : 'Push');
    for (const [id, text] of [
      ['curl', curlText],
      ['command', commandText],
      ['fetch', fetchText],
    ] as const) {
      say(byId(id), isGood && isNamed ? text(order, this.#caller) : '…');
      byId<HTMLButtonElement>(`copy-${id}`).disabled = this.#button.disabled;
    }
    return isGood && isNamed;
  }

  async #push(): Promise<void> {
    if (!this.#show()) return;
    const order = this.#order();
    // Everybody is everybody: where that is not this machine alone, it is asked for twice.
    if (order.target.kind === 'all' && this.#facts.mode === 'production' && !this.#confirmed) {
      this.#confirmed = true;
      this.#show();
      return;
    }
    this.#confirmed = false;
    const at = performance.now();
    try {
      const answer = (await this.#api.post(pushPath(order), pushBody(order))) as Answer;
      this.#note(answer, at);
      this.#tell('good', ...outcomeOf(order, answer, performance.now() - at));
      this.#next(order.message);
    } catch (error) {
      this.#tellProblem(error as Problem);
    }
    this.#show();
  }

  async #askWhom(): Promise<void> {
    try {
      const plan = (await this.#api.post('/v1/push/dry-run', pushBody(this.#order()))) as Plan;
      const { sessions, nodes, kept } = plan.counts;
      const whom =
        sessions === 0 ? 'nobody who is online' : `${countText(sessions, 'session')} on ${countText(nodes, 'node')}`;
      const then = kept > 0 ? `It would be kept for ${durationText(plan.ttlMs)} at most.` : 'Nothing would be kept.';
      this.#tell('good', `It would reach ${whom}.`, `${bytesText(plan.bytes)}. ${then} Nothing was pushed.`);
    } catch (error) {
      this.#tellProblem(error as Problem);
    }
  }

  #tellProblem({ code, message, detail, advice }: Problem): void {
    this.#tell('bad', message, detail, `${code}${advice.length > 0 ? `: ${advice.join('; ')}` : ''}`);
  }

  #note({ log, id }: Answer, at: number): void {
    if (log !== undefined && typeof id === 'string') this.#accepted(log, id, at);
  }

  /** The example counts on, so that one sees which is which; what somebody wrote stays. */
  #next(message: string): void {
    const next = message.replace(/("n": )(\d{1,9})(\n\})$/, (_all, before, count, after) => {
      return `${before}${Number(count) + 1}${after}`;
    });
    if (this.#message.value === message) this.#message.value = next;
  }

  #tell(kind: 'good' | 'bad', title: string, ...more: readonly string[]): void {
    this.#outcome.dataset['kind'] = kind;
    this.#outcome.replaceChildren(
      element('p', { class: 'title' }, title),
      ...more.filter((text) => text !== '').map((text) => element('p', {}, text)),
    );
  }
}

/** A title, and what else is to be said. */
function outcomeOf({ target }: PushOrder, { log, id, delivery }: Answer, ms: number): [string, ...string[]] {
  if (typeof id !== 'string')
    return ['Sent, not stored.', 'It reaches who is connected at this moment, and nobody else.'];
  const title = `${log}@${id}`;
  if (delivery === undefined) {
    const whom =
      target.kind === 'user'
        ? 'It is kept until the user’s devices have taken it.'
        : 'Members get it now, or when they resume.';
    return [title, `Accepted, on disk, in ${durationText(ms)}. ${whom}`];
  }
  const { online, delivered, keptUntil } = delivery;
  if (online === 0) return [title, `Accepted, on disk. Nobody is online: kept until ${dateText(keptUntil)}.`];
  return [
    title,
    `Accepted, on disk. Delivered to ${delivered} of ${countText(online, 'session')} in ${durationText(delivery.ms)}.`,
  ];
}

function dateText(iso: string): string {
  return new Date(iso).toLocaleString('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
}
