// What tells, while a run goes on, that the machine or the harness shows in the figures and not only the server: the rules of
// bench/trust.ts that can be judged of one second. The verdict at the end is of all.

import type { GroupUsage, MachineMoment } from '../../bench/figures.js';
import { count, percent } from '../../bench/numbers.js';
import { BUSY_LOOP, CLIENT_SHARE, IDLE, STEAL } from '../../bench/trust.js';

type Group = GroupUsage & { readonly cores: number };

/** Each a few words with their figure. */
export function marksOf(
  moment: { readonly machine: MachineMoment; readonly client: Group; readonly coordinator: Group },
  cores: number,
): readonly string[] {
  const { machine, client, coordinator } = moment;
  const marks: string[] = [];
  const clientShare = (client.cores + coordinator.cores) / cores;
  const busy = Math.max(client.loop, coordinator.loop);
  if (machine.idle < IDLE && clientShare > CLIENT_SHARE) {
    marks.push(`machine-bound (idle ${percent(machine.idle)}, client ${percent(clientShare)} of the CPU)`);
  }
  if (busy > BUSY_LOOP) marks.push(`client-bound (an event loop of it is ${percent(busy)} busy)`);
  if (machine.steal > STEAL) marks.push(`steal ${percent(machine.steal)}`);
  if (machine.swappedBytes > 0) marks.push('swapping');
  if (machine.listenDrops > 0) marks.push(`listen drops ${count(machine.listenDrops)}`);
  if (machine.retransmits > 0) marks.push(`TCP sent again ${count(machine.retransmits)}`);
  return marks;
}
