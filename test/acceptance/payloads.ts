// Real-looking pushes for the acceptance run, the same for the same seed: order updates, chat lines in Chinese, Arabic
// and emoji, 10-byte pings, documents up to 60 KiB. Every payload carries its number, so it can be told from all others.
import { seededRandom } from '../harness/random.js';

const CHAT = [
  '你好，订单已经发货了',
  '明天见！🎉🎉',
  'مرحبا، أين طلبي؟',
  'تم التسليم 🚚',
  '谢谢老板，下次再来',
  'ok 👍 see you',
  '咖啡☕还是茶🍵？',
];
const STATES = ['placed', 'paid', 'packed', 'shipped', 'delivered', 'returned'];

export class Payloads {
  readonly #random: () => number;
  #no = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** The exact JSON text of the next message. */
  next(): string {
    const no = ++this.#no;
    const dice = this.#random();
    if (dice < 0.02) return this.#document(no);
    if (dice < 0.35) return this.#order(no);
    if (dice < 0.75) return this.#chat(no);
    return `[${String(no).padStart(8)}]`;
  }

  #order(no: number): string {
    const cents = Math.floor(this.#random() * 1_000_000);
    const state = STATES[no % STATES.length];
    return `{"no":${no}, "order":{"id":9007199254740993${no % 10},"state":"${state}","total":${(cents / 100).toFixed(2)},"currency":"CNY"},"at":"2026-11-${String(1 + (no % 28)).padStart(2, '0')}T08:00:00Z"}`;
  }

  #chat(no: number): string {
    return JSON.stringify({ no, from: `user ${no % 997}`, text: CHAT[no % CHAT.length] });
  }

  #document(no: number): string {
    const bytes = 1_024 + Math.floor(this.#random() * 59 * 1_024);
    const line = `${no}: 文档 document وثيقة `;
    return JSON.stringify({
      no,
      title: `document ${no}`,
      text: line.repeat(Math.floor(bytes / Buffer.byteLength(line)) - 4),
    });
  }
}
