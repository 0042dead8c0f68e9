// What the page does with its document. Every text goes in as text: nothing is ever made markup of.

/** The element of that id, which index.html has. */
export function byId<E extends HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as E;
}

type Child = Node | string | undefined;

/** A new element: its attributes, what it contains. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

/** A button of a form that sends nothing. */
export function button(text: string, attributes: Readonly<Record<string, string>>, pressed: () => void) {
  const made = element('button', { type: 'button', ...attributes }, text);
  made.addEventListener('click', pressed);
  return made;
}

/** Sets a text where it has changed: what reads the page aloud hears no repetition. */
export function say(target: HTMLElement, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** A function that has `run` called with the next frame of the screen, and not again before `everyMs` are over. */
export function paced(run: () => void, everyMs: number): () => void {
  let isDue = false;
  let last = -everyMs;
  const begin = (): void => {
    isDue = false;
    last = performance.now();
    run();
  };
  return () => {
    if (isDue) return;
    isDue = true;
    setTimeout(() => requestAnimationFrame(begin), Math.max(0, last + everyMs - performance.now()));
  };
}

/** A row of tabs by the pattern of ARIA: arrows move, the chosen one is in the order of the tab key. */
export function tabs(list: HTMLElement, chosen: (id: string) => void = () => undefined): void {
  const all = [...list.querySelectorAll<HTMLButtonElement>('[role=tab]')];
  const choose = (tab: HTMLButtonElement, focus: boolean): void => {
    for (const one of all) {
      const isChosen = one === tab;
      one.setAttribute('aria-selected', String(isChosen));
      one.tabIndex = isChosen ? 0 : -1;
      byId(one.getAttribute('aria-controls') ?? '').hidden = !isChosen;
    }
    if (focus) tab.focus();
    chosen(tab.id);
  };
  for (const [at, tab] of all.entries()) {
    tab.addEventListener('click', () => choose(tab, false));
    tab.addEventListener('keydown', (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -at, End: all.length - 1 - at }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const next = all[(at + step + all.length) % all.length];
      if (next !== undefined) choose(next, true);
    });
  }
}

/** Copies a text; on a page without a secure context by the older way. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element('textarea', { class: 'unseen', readonly: '', 'aria-hidden': 'true' });
    area.value = text;
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    if (focused instanceof HTMLElement) focused.focus();
    return done;
  }
}

/** A button that copies what `text` gives at that moment, and says so. */
export function copyButton(target: HTMLButtonElement, text: () => string): void {
  const label = target.textContent ?? '';
  let back: ReturnType<typeof setTimeout> | undefined;
  target.addEventListener('click', () => {
    void copy(text()).then((done) => {
      say(target, done ? 'Copied' : 'Select and copy');
      target.dataset['done'] = String(done);
      clearTimeout(back);
      back = setTimeout(() => {
        say(target, label);
        delete target.dataset['done'];
      }, 2_000);
    });
  });
}
