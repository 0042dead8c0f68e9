// A DNS server on loopback that answers what it is told to, or nothing at all: A and AAAA, RFC 1035.
import { createSocket, type Socket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { isIPv6 } from 'node:net';

const TYPE = { a: 1, aaaa: 28 } as const;
/** QR, RA; the low bits are the code: 0 is fine, 2 a failure of the server, 3 a name that there is not. */
const ANSWER = 0x8180;

export class DnsServer implements AsyncDisposable {
  /** The addresses of every name. None: there is no such name. */
  addresses: readonly string[] = [];
  /** What it does with questions. */
  mode: 'answer' | 'fail' | 'silent' = 'answer';
  asked = 0;
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (question, { port, address }) => {
      this.asked++;
      if (this.mode !== 'silent') socket.send(this.#answerTo(question), port, address);
    });
  }

  static async start(): Promise<DnsServer> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    return new DnsServer(socket);
  }

  /** Every address of a name, as this server says; at most a second and a half for a question. */
  async resolve(name: string): Promise<readonly string[]> {
    const resolver = new Resolver({ timeout: 500, tries: 1 });
    resolver.setServers([`127.0.0.1:${this.#socket.address().port}`]);
    const found = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    return found.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #answerTo(question: Buffer): Buffer {
    let end = 12;
    while (question[end] !== 0) end += 1 + (question[end] ?? 0);
    const type = question.readUInt16BE(end + 1);
    const asked = question.subarray(12, end + 5);
    const code = this.mode === 'fail' ? 2 : this.addresses.length === 0 ? 3 : 0;
    const found = code === 0 ? this.addresses.filter((one) => (isIPv6(one) ? TYPE.aaaa : TYPE.a) === type) : [];
    const header = Buffer.alloc(12);
    question.copy(header, 0, 0, 2);
    header.writeUInt16BE(ANSWER | code, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(found.length, 6);
    const records = found.map((one) => {
      const data = isIPv6(one) ? bytesOf6(one) : Buffer.from(one.split('.').map(Number));
      const record = Buffer.alloc(12);
      // The name is the one that was asked for.
      record.writeUInt16BE(0xc00c, 0);
      record.writeUInt16BE(type, 2);
      record.writeUInt16BE(1, 4);
      record.writeUInt16BE(data.length, 10);
      return Buffer.concat([record, data]);
    });
    return Buffer.concat([header, asked, ...records]);
  }
}

function bytesOf6(address: string): Buffer {
  const [front = '', back] = address.split('::');
  const groups = (part: string | undefined) => (part === undefined || part === '' ? [] : part.split(':'));
  const [first, last] = [groups(front), groups(back)];
  const all = [...first, ...Array(8 - first.length - last.length).fill('0'), ...last];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}
