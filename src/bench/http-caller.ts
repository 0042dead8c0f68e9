/** Calls of one server's HTTP API over connections that stay open. */
import { Agent, request } from 'node:http';
import { isJsonObject, type JsonObject } from '../protocol/text.js';

export interface HttpAnswer {
  readonly status: number;
  /** The whole answer; an object, where it is one, as `json`. */
  readonly text: string;
  readonly json: JsonObject;
}

const MOST_SOCKETS = 64;
const DEADLINE_MS = 30_000;

export class HttpCaller {
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: MOST_SOCKETS });

  constructor(url: string, key: string | undefined) {
    this.#url = new URL(url);
    this.#headers = {
      'content-type': 'application/json',
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    };
  }

  /** Rejects with the error of the connection, ETIMEDOUT when there is no answer for too long. */
  call(method: 'GET' | 'POST', path: string, body = '', deadlineMs = DEADLINE_MS): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const { hostname, port } = this.#url;
      const host = hostname.replace(/^\[|\]$/g, '');
      const headers = { ...this.#headers, 'content-length': Buffer.byteLength(body) };
      const sent = request({ host, port, path, method, headers, agent: this.#agent }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', reject);
        response.on('end', () => {
          clearTimeout(deadline);
          const text = Buffer.concat(parts).toString();
          resolve({ status: response.statusCode ?? 0, text, json: objectOf(text) });
        });
      });
      const deadline = setTimeout(() => {
        sent.destroy(Object.assign(new Error(`no answer for ${deadlineMs} ms`), { code: 'ETIMEDOUT' }));
      }, deadlineMs);
      sent.on('error', (error) => {
        clearTimeout(deadline);
        reject(error);
      });
      sent.end(body);
    });
  }

  end(): void {
    this.#agent.destroy();
  }
}

function objectOf(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : {};
  } catch {
    return {};
  }
}
