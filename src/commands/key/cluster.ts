// `imgo key cluster`: the key by which the nodes of a cluster know each other.

import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../../cli/base.js';
import { makeClusterKey } from '../../cli/cluster-key.js';
import { ImgoError } from '../../protocol/errors.js';

export default class KeyCluster extends BaseCommand {
  static override summary = 'Make the key by which roles apart know each other, or what one role needs of it';
  static override description =
    'Logics need the key of the cluster. Comets and jobs can be given their role’s key alone: a comet’s opens sessions and ' +
    'nothing else, a job’s tells comets and nothing else.';
  static override flags = {
    role: Flags.option({ options: ['comet', 'job'] as const })({
      helpValue: 'comet|job',
      dependsOn: ['from'],
      summary: 'the key of this role alone, made of the one in --from',
    }),
    from: Flags.string({ helpValue: 'F', summary: 'file with the key of the cluster, - for stdin' }),
    out: Flags.string({ helpValue: 'F', summary: 'write it to this new file, which only you can read' }),
  };
  static override examples = [
    { description: 'For logics', command: '<%= config.bin %> key cluster --out cluster.key' },
    {
      description: 'For comets, which face the internet',
      command: '<%= config.bin %> key cluster --role comet --from cluster.key --out comet.key',
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(KeyCluster);
    if (flags.from !== undefined && flags.role === undefined) {
      throw new ImgoError('usage', { detail: '--from needs --role.', command: 'key cluster' });
    }
    await makeClusterKey({ role: flags.role, from: flags.from, out: flags.out }, this.outputFor(flags));
  }
}
