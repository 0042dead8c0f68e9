// What tells, while a run goes on, that the machine or the harness shows in the figures and not only the server. The verdict
// at the end is the harness's own, of all seconds; these are of one.

import type { GroupUsage, MachineMoment } from '../../bench/figures.js';
import { count, percent } from '../../bench/numbers.js';

type Group = GroupUsage & { readonly cores: number };

const IDLE = 0.05;
const CLIENT_SHARE = 0.3;
const BUSY_LOOP = 0.85;
const STEAL = 0.02;

/** Each a few words with their figure. */
export function marksOf(
  moment: {
    readonly machine: MachineMoment;
    readonly server: Group;
    readonly client: Group;
    readonly coordinator: Group;
  },
  cores: number,
): readonly string[] {
  const { machine, client } = moment;
  const marks: string[] = [];
  const clientShare = client.cores / cores;
  if (machine.idle < IDLE && clientShare > CLIENT_SHARE) {
    marks.push(`machine-bound (idle ${percent(machine.idle)}, client ${percent(clientShare)} of the CPU)`);
  }
  if (client.loop > BUSY_LOOP) marks.push(`client-bound (a receiver is ${percent(client.loop)} busy)`);
  if (machine.steal > STEAL) marks.push(`steal ${percent(machine.steal)}`);
  if (machine.swappedBytes > 0) marks.push('swapping');
  if (machine.listenDrops > 0) marks.push(`listen drops ${count(machine.listenDrops)}`);
  if (machine.retransmits > 0) marks.push(`retransmits ${count(machine.retransmits)}`);
  return marks;
}
