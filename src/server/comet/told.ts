// What a topic tells those who watch: a line for a sweep, whatever it swept, and whose bytes a watched session is given; and
// the traces of messages that are marked.

import type { MessageId } from '../../protocol/ids.js';
import type { LaggingTopic, TopicObserver, WritingTopic } from './fan-out.js';
import type { LaneEntry } from './lane.js';
import type { SweptTopic } from './swept-traces.js';
import type { CometTraces } from './traces.js';

interface ToldTopic extends WritingTopic, LaggingTopic, SweptTopic {}

export class Told {
  readonly #topic: ToldTopic;
  readonly #observer: TopicObserver | undefined;
  readonly #traces: CometTraces | undefined;
  /** Appended since the sweep that ended last. */
  #messages = 0;
  #bytes = 0;

  constructor(topic: ToldTopic, observer: TopicObserver | undefined, traces: CometTraces | undefined) {
    this.#topic = topic;
    this.#observer = observer;
    this.#traces = traces;
  }

  /** `bytes`: in all encodings. */
  appended(entry: LaneEntry, bytes: number): void {
    if (this.#traces?.any === true) this.#traces.put(this.#topic, entry);
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

  /** The log has lost what lies between. */
  gap(after: MessageId, upTo: MessageId): void {
    this.#observer?.topicGap(this.#topic.log, after, upTo);
    if (this.#traces?.any === true) this.#traces.topicGap(this.#topic, after, upTo);
  }

  swept(sweepMs: number, lagging: number): void {
    const observer = this.#observer;
    if (this.#traces?.any === true) this.#traces.swept(this.#topic);
    if (observer !== undefined && observer.hub.wants !== 0) {
      const { log, members } = this.#topic;
      observer.swept({ log, members: members.length, messages: this.#messages, bytes: this.#bytes, sweepMs });
      if (lagging > 0) observer.lagging(this.#topic);
    }
    this.#messages = 0;
    this.#bytes = 0;
  }
}
