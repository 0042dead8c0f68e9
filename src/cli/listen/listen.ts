// `listen`: a client on the terminal. Messages go to stdout, everything else to stderr; it stays connected by the server's
// policy, and says what it waits for. A message counts as taken when stdout has it.

import { type Client, type ClientOptions, type Closed, connect, type Message } from '../../client/index.js';
import { DISCONNECT } from '../../protocol/disconnect.js';
import { ImgoError } from '../../protocol/errors.js';
import { type LogName, type MessageId, type RoomId, roomLog, type UserId, userLog } from '../../protocol/ids.js';
import { formatDuration } from '../../server/units.js';
import { onClosedPipe } from '../closed-pipe.js';
import type { Output } from '../output.js';
import { gapObject, gapText, messageLine, messageObject } from './print.js';

/** What to listen to, and until when. */
export interface ListenOptions {
  readonly url: string;
  /** A good token, for every connection. */
  readonly token: () => Promise<string>;
  /** Another one can be had when this one expires. */
  readonly renewable: boolean;
  readonly user: string | undefined;
  readonly device: string | undefined;
  readonly rooms: readonly RoomId[];
  /** undefined: where the server's cursor is. */
  readonly from: MessageId | undefined;
  readonly ack: 'auto' | 'none';
  readonly dialect: 'native' | 'imgo' | 'goim';
  readonly reconnect: boolean;
  /** Messages after which it is enough. */
  readonly count: number | undefined;
  readonly timeoutMs: number | undefined;
  /** Ends listening, with whatever was said last. */
  readonly tidy: () => Promise<void>;
}

/** goim's clients name the operations that they take: those of ordinary pushes, and the first of the callers' own. */
const GOIM_ACCEPTS = [4, 5, ...Array.from({ length: 100 }, (_, at) => 1_000 + at)];

/** Listens until enough came, the time is over, a signal, or the server's word. @throws ImgoError timeout, token_refused, disconnected, unreachable, interrupted */
export async function listen(options: ListenOptions, output: Output): Promise<void> {
  const session = new Listening(options, output);
  try {
    await session.run();
  } finally {
    await options.tidy();
  }
}

class Listening {
  readonly #options: ListenOptions;
  readonly #output: Output;
  readonly #own: LogName | undefined;
  readonly #positions = new Map<LogName, MessageId>();
  #client: Client | undefined;
  #received = 0;
  #opened = false;
  #over: ImgoError | 'enough' | undefined;

  constructor(options: ListenOptions, output: Output) {
    this.#options = options;
    this.#output = output;
    this.#own = options.user === undefined ? undefined : userLog(options.user as UserId);
  }

  async run(): Promise<void> {
    const { timeoutMs, tidy } = this.#options;
    const interrupt = () => this.#end(new ImgoError('interrupted'));
    process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
    onClosedPipe(async () => {
      this.#over ??= 'enough';
      await Promise.race([this.#client?.close(), new Promise((resolve) => setTimeout(resolve, 500))]);
      await tidy();
    });
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => this.#end(timeout(timeoutMs)), timeoutMs);
    try {
      for (;;) {
        this.#client = connect(this.#clientOptions(), this.#handlers());
        const closed = await this.#client.ended;
        if (this.#over === 'enough') return;
        if (this.#over !== undefined) throw this.#over;
        if (closed.code !== DISCONNECT.token_expired.code || !this.#options.renewable) throw this.#failure(closed);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #end(why: ImgoError | 'enough'): void {
    if (this.#over !== undefined) return;
    this.#over = why;
    void this.#client?.close();
    // A server that does not answer a close is not waited for.
    setTimeout(() => this.#client?.close(), 1_000).unref();
  }

  #clientOptions(): ClientOptions {
    const { url, token, dialect, device, rooms, from, ack, reconnect, user } = this.#options;
    const cursor = (this.#own && this.#positions.get(this.#own)) ?? from;
    const all = this.#positions.get('all' as LogName);
    return {
      url,
      token,
      dialect: dialect === 'goim' ? 'goim2' : dialect,
      ack,
      reconnect,
      rooms: new Map(rooms.map((room) => [room, this.#positions.get(roomLog(room))])),
      ...(device === undefined ? {} : { device }),
      ...(cursor === undefined ? {} : { cursor }),
      ...(all === undefined ? {} : { all }),
      ...(dialect === 'goim' ? { goim: { mid: user ?? '0', accepts: GOIM_ACCEPTS } } : {}),
    };
  }

  #handlers(): Parameters<typeof connect>[1] {
    const output = this.#output;
    return {
      message: (message) => this.#message(message),
      gap: (gap) => {
        if (output.json || !output.isTerminal) void output.line(gapObject(gap));
        else output.warn(gapText(gap));
      },
      opened: ({ user, rooms, again }) => {
        this.#opened = true;
        const who = user ?? this.#options.user;
        output.note(
          again ? 'Connected again.' : `Listening${who === undefined ? '' : ` as user ${who}`}. Ctrl-C stops.`,
        );
        for (const [room, state] of rooms) if ('error' in state) output.warn(`Not in room ${room}: ${state.error}.`);
      },
      closed: ({ reason, retryInMs }) => {
        if (retryInMs !== undefined && this.#over === undefined) {
          output.note(`Connection lost (${reason}); again in ${(retryInMs / 1_000).toFixed(1)} s.`);
        }
      },
    };
  }

  async #message(message: Message): Promise<void> {
    const { count } = this.#options;
    // What is not printed is not taken.
    if (this.#over !== undefined || (count !== undefined && this.#received >= count)) return new Promise(() => {});
    const output = this.#output;
    this.#received += 1;
    await output.line(output.json || !output.isTerminal ? messageObject(message) : messageLine(message, this.#own));
    if (message.log !== undefined && message.id !== undefined) this.#positions.set(message.log, message.id);
    // After this handler has returned, so that its message is acknowledged before the close.
    if (count !== undefined && this.#received >= count) setImmediate(() => this.#end('enough'));
  }

  #failure({ code, reason }: Closed): ImgoError {
    if (code === DISCONNECT.token_refused.code) return new ImgoError('token_refused');
    if (code !== undefined && code >= 4_000) return new ImgoError('disconnected', { reason, code: String(code) });
    if (this.#opened) return new ImgoError('disconnected', { reason, code: 'disconnected' });
    return new ImgoError('unreachable', { tried: `${this.#options.url} (${reason})` });
  }
}

function timeout(ms: number): ImgoError {
  return new ImgoError('timeout', { duration: formatDuration(ms) });
}
