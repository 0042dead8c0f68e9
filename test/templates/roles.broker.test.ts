// The settings that templates have for roles apart start roles that find and trust each other: with keys made as the pages say,
// on real Kafka and Redis, a push at a logic reaches a client of a comet, and the comet can be drained. Where things are is
// this machine's affair.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { sharedKafka, sharedRedis, uniquePrefix } from '../brokers/shared.js';
import { until } from '../harness/api.js';
import { LAUNCHER, type Ready, startServer } from '../harness/server.js';
import { FOLDER, read, wordsOf } from './files.js';
import { enter } from './legacy-client.js';

type Node = Ready & { readonly rpc: string; readonly node: string };

const folder = mkdtempSync(join(tmpdir(), 'imgo-template-roles-'));
const env = { XDG_STATE_HOME: join(folder, 'state') };
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function imgo(args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(LAUNCHER, args, { encoding: 'utf8', env: { ...process.env, ...env } });
  expect({ args, status, stderr }).toMatchObject({ status: 0 });
  return stdout;
}

/** Makes the keys that a page has made, in a folder of their own. Answers where a key of that name is. */
function makeKeys(template: string): (name: string) => string {
  const at = (name: string) => join(folder, `${template}-${name}`);
  const commands = [
    ...read(`${template}/README.md`).matchAll(/^imgo (key (?:cluster|create --scope (?:admin|read)) .*)$/gm),
  ];
  for (const [, line = ''] of commands) {
    const words = wordsOf(line).map((word) => (word.endsWith('.key') ? at(word.replace(/^.*\//, '')) : word));
    const data = words.indexOf('--data');
    const out = words[words.indexOf('--out') + 1] ?? '';
    if (words.includes('create') && out !== at('imgo.key') && out !== at('metrics.key')) continue;
    imgo(data < 0 ? words : words.with(data + 1, mkdtempSync(join(folder, 'keys-'))));
  }
  return at;
}

describe.each(['systemd', 'compose-cluster', 'kubernetes'])('%s', (template) => {
  it('has roles that work together', async () => {
    const key = makeKeys(template);
    const name = uniquePrefix();
    const kafka = (await sharedKafka()).join(',');
    const shared = [`queue.kafka.topic=${name}`, `queue.kafka.group=${name}`, 'queue.kafka.partitions=4'];
    const store = ['--redis', await sharedRedis(), '--kafka', kafka, '--set', `redis.prefix=${name}`];
    const stores = [...store, ...shared.flatMap((one) => ['--set', one])];
    await using running = new AsyncDisposableStack();
    const start = async (role: string, keyFile: string, more: readonly string[]): Promise<Node> => {
      const local = ['--host', '127.0.0.1', '--http', '127.0.0.1:0', '--ws', '0', '--tcp', '0', '--rpc', '127.0.0.1:0'];
      const own = ['--set', `cluster.key_file=${keyFile}`, '--set', `cluster.node=${role}`];
      const config = join(FOLDER, template, `${role}.toml`);
      if (existsSync(key('metrics.key'))) own.push('--set', `observe.metrics_key_file=${key('metrics.key')}`);
      const server = await startServer(['--config', config, ...local, ...own, ...more], env);
      running.defer(async () => void (await server.end('SIGTERM')));
      return server.ready as Node;
    };

    const logic = await start('logic', key('cluster.key'), ['--key-file', key('imgo.key'), ...stores]);
    const job = await start('job', key('job.key'), stores);
    const comet = await start('comet', key('comet.key'), ['--set', `cluster.logic=${logic.rpc}`]);

    const admin = ['--server', logic.http, '--key-file', key('imgo.key')];
    const token = imgo(['token', 'create', '--user', '123', '--ttl', '1d', ...admin]).trim();
    using client = await enter({ at: comet.tcp, auth: token });
    imgo(['push', '--user', '123', '{"test":1}', ...admin]);
    await until('what was pushed', () => client.got().includes('{"test":1}'));
    // Each node tells its own figures, so that over all of them nothing counts twice.
    const told = async (node: Node, more: RequestInit = {}) => (await fetch(`${node.http}/metrics`, more)).text();
    const bearer = { headers: { authorization: `Bearer ${readFileSync(key('imgo.key'), 'utf8').trim()}` } };
    const scrapes = [await told(logic, bearer), await told(job), await told(comet)];
    const tellsOf = (name: string) => scrapes.map((text) => new RegExp(`^${name}[ {]`, 'm').test(text));
    expect(tellsOf('imgo_build_info')).toEqual([true, true, true]);
    expect(tellsOf('imgo_push_accepted_total')).toEqual([true, false, false]);
    expect(tellsOf('imgo_job_records_total')).toEqual([false, true, false]);
    expect(tellsOf('imgo_comet_connections')).toEqual([false, false, true]);
    expect(tellsOf('imgo_queue_lag_messages')).toEqual([true, true, false]);
    expect(await (await fetch(`${logic.http}/metrics`)).text()).toContain('key_missing');
    if (existsSync(key('metrics.key'))) {
      const own = { headers: { authorization: `Bearer ${readFileSync(key('metrics.key'), 'utf8').trim()}` } };
      expect(await told(logic, own)).toContain('imgo_push_accepted_total');
      expect((await fetch(`${logic.http}/v1/stats`, own)).status).toBe(401);
    }
    const nodes = imgo(['nodes', '--json', ...admin])
      .trim()
      .split('\n');
    expect(nodes.map((line) => (JSON.parse(line) as { readonly node: string }).node).sort()).toEqual([
      'comet',
      'job',
      'logic',
    ]);
    expect(
      imgo(['drain', 'comet', ...admin])
        .trim()
        .split('\n')
        .at(-1),
    ).toBe('0');
    expect((await fetch(`${comet.http}/readyz`)).status).toBe(503);
  });
});
