// `imgo completion SHELL`: a script that completes commands, flags and their values in bash, zsh or fish.

import * as Args from '@oclif/core/args';
import { BaseCommand } from '../cli/base.js';
import { type CompletedCommand, completionScript } from '../cli/completion.js';
import { ownName } from '../cli/own-name.js';

export default class Completion extends BaseCommand {
  static override summary = 'Print a completion script for a shell';
  static override args = {
    shell: Args.string({
      ignoreStdin: true,
      required: true,
      options: ['bash', 'zsh', 'fish'],
      description: 'bash, zsh or fish',
    }),
  };
  static override examples = [
    { description: 'bash, for this session', command: 'source <(<%= config.bin %> completion bash)' },
    { description: 'zsh, for good', command: '<%= config.bin %> completion zsh > ~/.zfunc/_imgo' },
    {
      description: 'fish, for good',
      command: '<%= config.bin %> completion fish > ~/.config/fish/completions/imgo.fish',
    },
  ];

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(Completion);
    const commands = this.config.commands.map((command): CompletedCommand => {
      return {
        name: command.id.replaceAll(':', ' '),
        summary: command.summary ?? '',
        flags: Object.values(command.flags).map(({ name, char, summary, type, ...rest }) => ({
          name,
          char,
          summary: summary ?? '',
          values: 'options' in rest && Array.isArray(rest.options) ? rest.options.map(String) : [],
          takesValue: type === 'option',
        })),
      };
    });
    const output = this.outputFor(flags);
    await output.raw(
      completionScript(args.shell as 'bash' | 'zsh' | 'fish', ownName().split('/').at(-1) ?? 'imgo', commands),
    );
  }
}
