// What a topic tells those who watch: a line for a sweep, whatever it swept, and whose bytes a watched session is given.

import type { LaggingTopic, TopicObserver, WritingTopic } from './fan-out.js';

interface ToldTopic extends WritingTopic, LaggingTopic {
  readonly members: { readonly length: number };
}

export class Told {
  readonly #topic: ToldTopic;
  readonly #observer: TopicObserver | undefined;
  /** Appended since the sweep that ended last. */
  #messages = 0;
  #bytes = 0;

  constructor(topic: ToldTopic, observer: TopicObserver | undefined) {
    this.#topic = topic;
    this.#observer = observer;
  }

  /** `bytes`: in all encodings. */
  appended(bytes: number): void {
    this.#messages++;
    this.#bytes += bytes;
  }

  /** What is written from here on is this topic's; until `wrote`. */
  writes(): void {
    if (this.#observer !== undefined) this.#observer.tap.writing = this.#topic;
  }

  wrote(): void {
    if (this.#observer !== undefined) this.#observer.tap.writing = undefined;
  }

  swept(sweepMs: number, lagging: number): void {
    const observer = this.#observer;
    if (observer !== undefined && observer.hub.wants !== 0) {
      const { log, members } = this.#topic;
      observer.swept({ log, members: members.length, messages: this.#messages, bytes: this.#bytes, sweepMs });
      if (lagging > 0) observer.lagging(this.#topic);
    }
    this.#messages = 0;
    this.#bytes = 0;
  }
}
