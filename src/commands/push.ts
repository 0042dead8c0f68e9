// `imgo push`: a message to a user, to many, to rooms, to all; or many messages, one a line.

import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { durationOf, REPEATABLE } from '../cli/flags.js';

export default class Push extends BaseCommand {
  static override summary = 'Send a message to a user, to several, to rooms or to all';
  static override args = {
    message: Args.string({ ignoreStdin: true, description: 'JSON unless --text or --base64; - reads stdin' }),
  };
  static override flags = {
    user: Flags.string({ ...REPEATABLE, helpGroup: 'TO', helpValue: 'U', summary: 'a user; repeatable' }),
    'users-file': Flags.string({ helpGroup: 'TO', helpValue: 'F', summary: 'users, one a line; - is stdin' }),
    room: Flags.string({ ...REPEATABLE, helpGroup: 'TO', helpValue: 'R', summary: 'a room; repeatable' }),
    all: Flags.boolean({ helpGroup: 'TO', summary: 'every client that is connected' }),
    lines: Flags.boolean({
      summary: 'many: {"to":…,"message":…} a line on stdin or in --file, a result a line on stdout',
    }),
    file: Flags.string({ helpValue: 'F', summary: 'the message is in this file' }),
    text: Flags.boolean({ exclusive: ['base64'], summary: 'the message is text: sent as a JSON string' }),
    base64: Flags.boolean({ summary: 'the message is bytes, in base64' }),
    ttl: Flags.string({ helpValue: '7d|0', summary: 'how long it is kept for the absent; 0: not at all' }),
    'idempotency-key': Flags.string({
      helpValue: 'K|auto',
      summary: 'repeating cannot deliver twice; and failures are repeated',
    }),
    wait: Flags.boolean({ summary: 'until every session that is online took it' }),
    timeout: Flags.string({
      helpValue: 'D',
      dependsOn: ['wait'],
      summary: 'how long --wait waits (5s); then exit 124',
    }),
    'dry-run': Flags.boolean({ summary: 'whom it would reach, and where; nothing is pushed' }),
    trace: Flags.boolean({ summary: 'print what becomes of it, step by step' }),
    yes: Flags.boolean({ summary: 'do send --all to a server that is not on this machine' }),
  };
  static override examples = [
    {
      description: 'To a user, until it was delivered',
      command: `<%= config.bin %> push --user 123456 '{"test":1}' --wait`,
    },
    {
      description: 'See whom it would reach, then what became of it',
      command: `<%= config.bin %> push --room live://1000 '{"goal":1}' --dry-run`,
    },
    { description: 'Text to a room', command: '<%= config.bin %> push --room live://1000 --text "Kick-off"' },
    {
      description: 'Many, each once even if repeated',
      command: '<%= config.bin %> push --lines --idempotency-key auto < pushes.ndjson',
    },
  ];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(Push);
    const output = this.outputFor(flags);
    const { idempotencyKey } = await import('../cli/push/retry.js');
    const key = idempotencyKey(flags['idempotency-key']);
    const ttl = durationOf('ttl', flags.ttl) === undefined ? undefined : flags.ttl;
    if (flags.lines) {
      const { pushFromLines } = await import('../cli/push/from-lines.js');
      return pushFromLines({ ...flags, message: args.message }, { key, ttl }, () => this.apiFor(flags, output), output);
    }
    const [{ readTarget, confirmAll }, { readMessage }, { pushMessage }] = await Promise.all([
      import('../cli/push/target.js'),
      import('../cli/push/message.js'),
      import('../cli/push/one.js'),
    ]);
    const target = await readTarget(flags);
    const as = flags.text ? 'text' : flags.base64 ? 'base64' : 'json';
    const message = await readMessage({ argument: args.message, file: flags.file, as });
    const api = await this.apiFor(flags, output);
    if (flags['dry-run']) {
      const { dryRun } = await import('../cli/push/dry-run.js');
      return dryRun(api, target, message, ttl, output);
    }
    confirmAll(target, api.server.url, flags.yes);
    const waitMs = flags.wait ? (durationOf('timeout', flags.timeout) ?? 5_000) : undefined;
    await pushMessage(api, target, message, { ttl, key, waitMs, trace: flags.trace }, output);
  }
}
