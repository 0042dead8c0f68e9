// GET /: a page for browsers under a strict policy, text for others, nothing where it is removed.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TryItFacts } from '../../../src/server/logic/try-it.js';
import { TryIt } from '../../../src/server/logic/try-it.js';
import { call, pageDocument, type Setup, setUp } from './setup.js';

const HTML = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

let setup: Setup;
let base: string;

beforeAll(async () => {
  setup = await setUp();
  base = setup.http.addresses().http;
});
afterAll(async () => {
  await setup[Symbol.asyncDispose]();
});

const factsIn = (html: string) => JSON.parse(/application\/json">(.*?)<\/script>/.exec(html)?.[1] ?? '') as TryItFacts;
const policyOf = (text: string | null) =>
  new Map((text ?? '').split('; ').map((part) => [part.split(' ', 1)[0], part.slice(part.indexOf(' ') + 1)]));
const sha = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

describe('GET /', () => {
  test('for a browser is the page with the facts of this server', async () => {
    const answer = await call(base, 'GET', '/', undefined, HTML);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(factsIn(answer.text)).toEqual({
      version: '0.0.0',
      mode: 'development',
      ws: { host: null, port: 8090, path: '/sub' },
      command: 'imgo',
      payloadBytes: 65_536,
    });
  });

  test('lets it run its own script and style alone, talk to its own server alone, and nobody frame it', async () => {
    const { headers } = await call(base, 'GET', '/', undefined, HTML);
    const policy = policyOf(headers.get('content-security-policy'));
    expect(policy.get('default-src')).toBe("'none'");
    expect(policy.get('script-src')).toBe(sha('go()'));
    expect(policy.get('style-src')).toBe(sha('b{}'));
    expect(policy.get('connect-src')).toBe("'self' ws://127.0.0.1:8090");
    for (const part of ['frame-ancestors', 'base-uri', 'form-action']) expect(policy.get(part)).toBe("'none'");
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
  });

  test('is answered without a body to who has it', async () => {
    const { headers } = await call(base, 'GET', '/', undefined, HTML);
    const tag = headers.get('etag') ?? '';
    const again = await call(base, 'GET', '/', undefined, { ...HTML, 'if-none-match': `"other", ${tag}` });
    expect([again.status, again.text]).toEqual([304, '']);
    expect(again.headers.get('content-security-policy')).toBe(headers.get('content-security-policy'));
    expect((await call(base, 'GET', '/', undefined, { ...HTML, 'if-none-match': '"other"' })).status).toBe(200);
  });

  test('for others is a text', async () => {
    const answer = await call(base, 'GET', '/', undefined, { accept: '*/*' });
    expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(answer.headers.get('vary')).toBe('Accept');
    expect(answer.text).toContain('/openapi.json');
  });

  test('says production once there is a key', async () => {
    await using production = await setUp({ http: { development: false } });
    const answer = await call(production.http.addresses().http, 'GET', '/', undefined, HTML);
    expect(factsIn(answer.text).mode).toBe('production');
  });

  test.each([HTML, { accept: '*/*' }])('is not there where it is removed', async (headers) => {
    await using without = await setUp({ http: { tryIt: undefined } });
    const answer = await call(without.http.addresses().http, 'GET', '/', undefined, headers);
    expect([answer.status, answer.json.code]).toEqual([404, 'not_found']);
  });

  test('is refused to a page of another origin', async () => {
    const answer = await call(base, 'GET', '/', undefined, { ...HTML, origin: 'https://evil.example' });
    expect([answer.status, answer.json.code]).toEqual([403, 'origin_refused']);
  });
});

describe('where the page may connect to', () => {
  const facts = { version: '1', mode: 'production', payloadBytes: 1 } as const;
  const connects = (ws: string | undefined, host: string | undefined) => {
    const page = new TryIt({ document: () => pageDocument, ws: () => ws, command: 'imgo' });
    return policyOf(page.answer(host, facts).headers['content-security-policy'] ?? '').get('connect-src');
  };

  test.each([
    ['loopback', 'ws://127.0.0.1:8090/sub', 'localhost:7172', "'self' ws://localhost:8090"],
    ['every address', 'ws://0.0.0.0:8090/sub', 'push.example.com', "'self' ws://push.example.com:8090"],
    ['an address of its own', 'ws://10.0.0.7:8090/sub', '10.0.0.8:7172', "'self' ws://10.0.0.7:8090"],
    ['nowhere here', undefined, 'localhost:7172', "'self' ws://localhost:*"],
    ['an IPv6 address, which a policy cannot name', 'ws://[::1]:8090/sub', '[::1]:7172', "'self' ws://*:8090"],
    ['no host', 'ws://127.0.0.1:8090/sub', undefined, "'self'"],
    ['a host that is none', 'ws://127.0.0.1:8090/sub', "x; script-src 'unsafe-inline'", "'self'"],
  ])('%s', (_name, ws, host, expected) => {
    expect(connects(ws, host)).toBe(expected);
  });

  test('facts cannot end their element', () => {
    const page = new TryIt({ document: () => pageDocument, ws: () => undefined, command: '</script><b>' });
    expect(page.answer('h', facts).body).not.toContain('</script><b>');
  });
});
