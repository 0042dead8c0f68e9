// What all commands are: the global flags, an output, an API. A command says what it needs in flags, calls one service,
// prints. What it throws is told by main.ts, in one form.

import { Command } from '@oclif/core/command';
import type { Api } from './api.js';
import { globalFlags } from './flags.js';
import { Output } from './output.js';

/** Common ground of the commands. */
export abstract class BaseCommand extends Command {
  static override baseFlags = globalFlags;

  /** Told by main.ts. */
  override async catch(error: Error): Promise<never> {
    throw error;
  }

  protected outputFor(flags: { readonly json: boolean; readonly quiet: boolean; readonly verbose: boolean }): Output {
    return new Output(flags);
  }

  /** The API of the server that the flags, or the machine, name. Loaded only by commands that need one. */
  protected async apiFor(
    flags: { readonly server?: string | undefined; readonly 'key-file'?: string | undefined },
    output: Output,
  ): Promise<Api> {
    const { Api } = await import('./api.js');
    return new Api({ server: flags.server, keyFile: flags['key-file'] }, output);
  }
}
