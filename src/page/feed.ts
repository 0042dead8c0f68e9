// A list that stands any flood: what arrives is gathered and drawn at a pace that leaves the page its time, the list keeps its
// last rows, and what came too fast to be drawn is counted in a row of its own. It follows its end until somebody scrolls up.

import { byId, element, paced, say } from './dom.js';

/** Rows that stay. */
const ROWS = 250;
/** Rows that are drawn at once, and between two times, ms: 300 a second are more than anybody reads. */
const ROWS_AT_ONCE = 30;
const EVERY_MS = 100;
/** How often a screen reader is told of what is new, ms. */
const SAY_MS = 3_000;

export class Feed<T> {
  readonly #list: HTMLElement;
  readonly #follow: HTMLButtonElement;
  readonly #draw: (item: T) => HTMLElement;
  readonly #spoken: (count: number) => string;
  readonly #schedule = paced(() => this.#flush(), EVERY_MS);
  #waiting: T[] = [];
  #skipped = 0;
  #unseen = 0;
  #untold = 0;
  #isPaused = false;
  #following = true;

  /** `id`: of the list; its button to follow is `ID-follow`. `spoken`: what is said of so many new ones. */
  constructor(id: string, draw: (item: T) => HTMLElement, spoken: (count: number) => string = () => '') {
    this.#list = byId(id);
    this.#follow = byId(`${id}-follow`);
    this.#draw = draw;
    this.#spoken = spoken;
    this.#list.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#follow.addEventListener('click', () => {
      this.#following = true;
      this.#toEnd();
      // The button goes: who came by the keyboard stands at the last row.
      this.#list.querySelector<HTMLElement>('li:last-child summary')?.focus();
    });
    // Whoever opens a row reads it: it stays where it is. The event does not bubble.
    this.#list.addEventListener('toggle', (event) => this.#opened(event.target), { capture: true });
    setInterval(() => this.#speak(), SAY_MS);
  }

  add(item: T): void {
    this.#waiting.push(item);
    if (this.#waiting.length > ROWS) {
      this.#waiting.shift();
      this.#skipped++;
    }
    this.#schedule();
  }

  /** Draws nothing until it is resumed, and goes on counting. */
  pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.#schedule();
  }

  clear(): void {
    this.#waiting = [];
    this.#skipped = 0;
    this.#unseen = 0;
    this.#list.replaceChildren();
    this.#showFollow();
  }

  /** It may have come into view: what waits is drawn. */
  shown(): void {
    this.#schedule();
  }

  #flush(): void {
    if (this.#isPaused || this.#list.closest<HTMLElement>('[role=tabpanel]')?.hidden === true) return;
    const rows: HTMLElement[] = [];
    if (this.#skipped > 0) {
      rows.push(skippedRow(this.#skipped));
      this.#skipped = 0;
    }
    const items = this.#waiting.splice(0, ROWS_AT_ONCE);
    for (const item of items) rows.push(this.#draw(item));
    this.#untold += items.length;
    this.#list.append(...rows);
    for (let over = this.#list.childElementCount - ROWS; over > 0; over--) this.#list.firstElementChild?.remove();
    if (this.#following) this.#toEnd();
    else this.#unseen += items.length;
    this.#showFollow();
    if (this.#waiting.length > 0) this.#schedule();
  }

  #scrolled(): void {
    const { scrollTop, clientHeight, scrollHeight } = this.#list;
    this.#following = scrollTop + clientHeight >= scrollHeight - 8;
    if (this.#following) this.#unseen = 0;
    this.#showFollow();
  }

  #opened(row: EventTarget | null): void {
    if (!(row instanceof HTMLDetailsElement) || !row.open) return;
    this.#following = false;
    // What it contains is made by a listener of its own.
    requestAnimationFrame(() => row.scrollIntoView({ block: 'nearest' }));
  }

  #toEnd(): void {
    this.#unseen = 0;
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  #showFollow(): void {
    this.#follow.hidden = this.#following || this.#unseen === 0;
    say(this.#follow, `${this.#unseen} new below`);
  }

  #speak(): void {
    if (this.#untold === 0) return;
    const text = this.#spoken(this.#untold);
    this.#untold = 0;
    if (text !== '') say(byId('spoken'), text);
  }
}

function skippedRow(count: number): HTMLElement {
  const text = `${count.toLocaleString('en')} not shown: more than this list draws. The client had them all.`;
  return element('li', { class: 'note', 'data-kind': 'skipped' }, text);
}
