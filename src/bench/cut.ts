/** What ends a run before its time: a signal, a process that died, an assertion that may not break. The first one counts. */
export class Cut {
  readonly #controller = new AbortController();
  #why: string | null = null;

  constructor(signal: AbortSignal) {
    const interrupted = () => this.short('interrupted');
    if (signal.aborted) interrupted();
    else signal.addEventListener('abort', interrupted, { once: true });
  }

  /** Ends the run. */
  short(why: string): void {
    this.#why ??= why;
    this.#controller.abort();
  }

  /** null: nothing has. */
  get why(): string | null {
    return this.#why;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Resolves with what was waited for, or undefined when the run is cut short before. */
  async unless<T>(work: Promise<T>): Promise<T | undefined> {
    const { signal } = this.#controller;
    if (signal.aborted) return undefined;
    let stop: (() => void) | undefined;
    const cut = new Promise<undefined>((resolve) => {
      stop = () => resolve(undefined);
      signal.addEventListener('abort', stop, { once: true });
    });
    try {
      return await Promise.race([work, cut]);
    } finally {
      if (stop !== undefined) signal.removeEventListener('abort', stop);
    }
  }
}
