// What a client sends in each dialect: AUTH, heartbeats, acknowledgements, room requests.
import type { Dialect } from '../protocol/dialect.js';
import { encodeFrame, Op } from '../protocol/frame.js';
import { encodeGoimAuth, GOIM_VER } from '../protocol/goim.js';
import type { MessageId, RoomId } from '../protocol/ids.js';
import { encodeClientJson } from '../protocol/imgo-json.js';
import { encodeAck, NATIVE_VER } from '../protocol/native.js';
import { encodeJoin, encodeNativeAuth, encodeRoomRequest } from '../protocol/native-json.js';
import { encodeText } from '../protocol/text.js';
import type { ClientOptions } from './options.js';

/** Where this attempt starts. */
export interface StartFrom {
  readonly cursor: MessageId | undefined;
  readonly rooms: ReadonlyMap<RoomId, MessageId | undefined> | undefined;
  readonly all: MessageId | undefined;
}

export class Requests {
  readonly #dialect: Dialect;
  readonly #json: boolean;
  readonly #ver: number;
  #seq = 0;

  constructor(dialect: Dialect, carrier: 'tcp' | 'ws') {
    this.#dialect = dialect;
    this.#json = dialect === 'imgo' && carrier === 'ws';
    this.#ver = dialect === 'native' ? NATIVE_VER : dialect === 'goim2' ? GOIM_VER : 1;
  }

  auth(token: string, options: ClientOptions, from: StartFrom): Uint8Array | string {
    if (this.#json) return encodeClientJson(this.#ver, Op.AUTH, this.#next(), token);
    return this.#frame(Op.AUTH, this.#authBody(token, options, from));
  }

  heartbeat(): Uint8Array | string {
    return this.#json ? encodeClientJson(this.#ver, Op.HEARTBEAT, this.#next()) : this.#frame(Op.HEARTBEAT);
  }

  acknowledge(upTo: MessageId): Uint8Array {
    return this.#frame(Op.ACK, encodeAck(upTo));
  }

  join(room: RoomId, since: MessageId | undefined): Uint8Array {
    return this.#frame(Op.JOIN, encodeJoin(room, since));
  }

  leave(room: RoomId): Uint8Array {
    return this.#frame(Op.LEAVE, encodeRoomRequest(room));
  }

  presence(room: RoomId): { readonly seq: number; readonly frame: Uint8Array } {
    const frame = this.#frame(Op.PRESENCE, encodeRoomRequest(room));
    return { seq: this.#seq, frame };
  }

  #authBody(token: string, options: ClientOptions, from: StartFrom): Uint8Array {
    if (this.#dialect === 'native') return encodeNativeAuth({ token, device: options.device, ...from });
    if (this.#dialect !== 'goim2') return encodeText(token);
    const { mid = '0', key, accepts } = options.goim ?? {};
    const room = from.rooms?.keys().next().value;
    return encodeGoimAuth({
      mid,
      ...(key === undefined ? {} : { key }),
      ...(accepts === undefined ? {} : { accepts }),
      ...(room === undefined ? {} : { room }),
      ...(token === '' ? {} : { token }),
    });
  }

  #frame(op: number, body?: Uint8Array): Uint8Array {
    return encodeFrame(this.#ver, op, this.#next(), body);
  }

  #next(): number {
    this.#seq = (this.#seq + 1) & 0x7fff_ffff;
    return this.#seq;
  }
}
