// `imgo key create`: an API key, with which callers push, mint tokens, read or administer.

import { resolve } from 'node:path';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../../cli/base.js';
import { durationOf, REPEATABLE } from '../../cli/flags.js';
import { createKey, makeInFolder, makeOverApi } from '../../cli/keys.js';
import { readRunFiles } from '../../cli/run-files.js';
import type { Scope } from '../../server/store/credentials.js';

const SCOPES = ['push', 'token', 'read', 'admin'] as const satisfies readonly Scope[];

export default class KeyCreate extends BaseCommand {
  static override summary = 'Make an API key: on the running server, or in the data folder of one that does not run';
  static override description =
    'The key is printed once and only its hash is kept. The first key ends development: from then on every call needs one.';
  static override flags = {
    scope: Flags.option({ options: SCOPES, ...REPEATABLE })({
      required: true,
      helpValue: 'push|token|read|admin',
      summary: 'what it may do; repeatable; admin is all',
    }),
    name: Flags.string({ helpValue: 'N', default: '', summary: 'for people, in lists' }),
    ttl: Flags.string({ helpValue: 'D', summary: 'how long it is good (until revoked)' }),
    out: Flags.string({ helpValue: 'F', summary: 'write it to this new file, which only you can read' }),
    data: Flags.string({
      helpValue: 'DIR',
      summary: 'data folder of a server that does not run (.imgo) [env: IMGO_DATA]',
    }),
    config: Flags.string({ helpValue: 'F', env: 'IMGO_CONFIG', summary: 'settings file that names the data folder' }),
  };
  static override examples = [
    {
      description: 'Before the first start for everybody',
      command: '<%= config.bin %> key create --scope admin --out imgo.key',
    },
    {
      description: 'For a backend that pushes',
      command: '<%= config.bin %> key create --scope push --name shop --key-file imgo.key',
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(KeyCreate);
    const output = this.outputFor(flags);
    const wishes = { scopes: flags.scope, name: flags.name, ttl: flags.ttl, ttlMs: durationOf('ttl', flags.ttl) };
    const make = async () => {
      const running = readRunFiles();
      const ofFolder = running.find(({ data }) => flags.data !== undefined && data === resolve(flags.data));
      const server = flags.server ?? ofFolder?.http;
      const overApi = server !== undefined || (flags.data === undefined && running.length > 0);
      if (overApi) return makeOverApi(await this.apiFor({ ...flags, server }, output), wishes);
      return makeInFolder({ data: flags.data, config: flags.config }, wishes);
    };
    await createKey(make, flags.out, output);
  }
}
