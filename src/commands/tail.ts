// `imgo tail`: what happens with sessions, as it happens.

import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base.js';
import { REPEATABLE } from '../cli/flags.js';
import { readTailOptions } from '../cli/tail/options.js';
import { tail } from '../cli/tail/tail.js';
import { NODE_EVENTS } from '../server/observe/events.js';

export default class Tail extends BaseCommand {
  static override summary = 'Watch the frames and events of sessions as they happen';
  static override description =
    'On a terminal a view with search, filter and pause (? explains its keys); in a pipe, and with --json, an object a line. ' +
    'Values of one flag are alternatives, different flags must all hold. It needs a key of scope admin, never slows the ' +
    'server, and says what it could not carry. Where over 1,000 sessions match, frames need --sample.';
  static override flags = {
    user: Flags.string({
      ...REPEATABLE,
      helpValue: 'U',
      summary: 'sessions of this user; repeatable, as the next three',
    }),
    room: Flags.string({ ...REPEATABLE, helpValue: 'R', summary: 'sessions in this room' }),
    session: Flags.string({ ...REPEATABLE, helpValue: 'S', summary: 'this session' }),
    node: Flags.string({ ...REPEATABLE, helpValue: 'X', summary: 'sessions on this node' }),
    event: Flags.string({ ...REPEATABLE, helpValue: 'E,E', summary: `only these: ${NODE_EVENTS.join(', ')}` }),
    'min-lag': Flags.string({ helpValue: 'SIZE', summary: 'only sessions that lag by as much, such as 64KiB' }),
    since: Flags.string({ helpValue: 'D', summary: 'first what was recorded of opens, gaps and closes, such as 10m' }),
    sample: Flags.string({ helpValue: 'P', summary: 'only this share of the sessions, such as 1%' }),
    payload: Flags.option({ options: ['hidden', 'size', 'full'] as const })({
      default: 'size',
      helpValue: 'hidden|size|full',
      summary: 'full: messages are shown, where observe.payloads allows it',
    }),
    count: Flags.integer({ char: 'n', helpValue: 'N', min: 1, summary: 'end after N events' }),
    timeout: Flags.string({ helpValue: 'D', summary: 'end after this time; exit 124' }),
    'no-tui': Flags.boolean({ summary: 'lines instead of a view, also on a terminal' }),
  };
  static override examples = [
    { description: 'What does this user get?', command: '<%= config.bin %> tail --user 123456' },
    { description: 'Who falls behind?', command: '<%= config.bin %> tail --min-lag 64KiB' },
    {
      description: 'The next gap in a room, for a program',
      command: '<%= config.bin %> tail --room live://1000 --event gap -n 1 --timeout 1m --json',
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(Tail);
    const output = this.outputFor(flags);
    const options = readTailOptions(flags);
    await tail(options, !flags['no-tui'], await this.apiFor(flags, output), output);
  }
}
