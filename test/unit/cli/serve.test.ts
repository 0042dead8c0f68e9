// What `serve` makes of a start that failed.

import { createServer } from 'node:net';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { addressInUse } from '../../../src/cli/serve/run.js';
import { startServer } from '../../../src/server/assemble.js';
import { loadConfig } from '../../../src/server/config-load.js';

test.each(['http', 'ws', 'tcp', 'goim', 'legacy_http'])(
  'a port of %s that is taken is known by its listener, whoever says so',
  async (key) => {
    const holder = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    const { port } = holder.address() as { port: number };
    const free = { data: 'memory', 'listen.http': 0, 'listen.ws': 0, 'listen.tcp': 0 };
    const flags = Object.entries({ ...free, [`listen.${key}`]: port }).map(([key, value]) => ({
      key,
      value,
      where: key,
    }));
    const { config } = loadConfig({ env: {}, flags, folder: '.' });
    const failure = await startServer(config, { log: pino({ level: 'silent' }), version: 'test' }).catch(
      (error: unknown) => error,
    );
    holder.close();
    expect(addressInUse(failure, config)).toEqual({ listener: key.replace('_', '-'), host: '127.0.0.1', port });
  },
);
