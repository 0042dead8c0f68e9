/** The parts of the report that are words and tables: they can be read, searched and printed without its script. */
import { type Comparison, figure, verdictWords } from '../compare.js';
import type { BenchResult, BenchSample } from '../figures.js';
import { count, counted, percent, short, size, time } from '../numbers.js';
import { html, type Markup } from './markup.js';
import { auditOf, byReason, hasMessages, pushRates, titleOf, verdictOf } from './verdict.js';

type Row = readonly (string | Markup)[];

/** Titles over rows; the first column is a row's name, those after it stand to the right, unless `left` says otherwise. */
function table(titles: readonly string[], rows: readonly Row[], left: readonly number[] = []): Markup {
  const place = (at: number) => (at === 0 || left.includes(at) ? '' : 'right');
  const head = titles.map((title, at) => html`<th scope="col" class="${place(at)}">${title}</th>`);
  const body = rows.map((row) => {
    const cells = row.map((cell, at) =>
      at === 0 ? html`<th scope="row">${cell}</th>` : html`<td class="${place(at)}">${cell}</td>`,
    );
    return html`<tr>${cells}</tr>`;
  });
  const titled = titles.some((title) => title !== '');
  return html`<div class="scroll"><table>${titled ? html`<thead><tr>${head}</tr></thead>` : ''}<tbody>${body}</tbody></table></div>`;
}

function facts(pairs: readonly (readonly [string, string | Markup])[]): Markup {
  return html`<dl class="facts">${pairs.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

/** What was run, and what it comes to. The first words say when the harness was the bottleneck. */
export function head(result: BenchResult): Markup {
  const { client, cutShort, versions, at, plan } = result;
  const { kind, words } = verdictOf(result);
  return html`<header>
<p class="over"><span class="brand">imgo bench</span><span>${at.slice(0, 16).replace('T', ' ')} UTC · imgo ${versions.imgo} · Node ${versions.node}</span></p>
<h1>${titleOf(plan)}</h1>
<div class="verdict ${kind}">
${client.saturated.is ? html`<p><strong>The harness was the bottleneck.</strong> Integrity, memory and work for a CPU second hold; latencies and rates say more about the clients and the machine than about the server.</p>` : ''}
<p class="word">${words}</p>
${cutShort === null ? '' : html`<p>Cut short: ${cutShort}.</p>`}
</div>
</header>`;
}

/** The figures that a run is known by. */
export function tiles(result: BenchResult): Markup {
  const { connections, latencyMs, latencies, server, reference, http } = result;
  const all: (readonly [string, string, string])[] = [];
  if (connections.target > 0) {
    const { open, target, seconds } = connections;
    const share = open === target ? 'all' : `${percent(open / target)} of ${count(target)}`;
    all.push(['Connected', count(open), `${share}, in ${time(seconds * 1_000)}`]);
  }
  if (hasMessages(result.plan)) {
    all.push([
      'Delivered',
      percent(result.completeness),
      `${count(result.delivered)} messages, lost ${count(result.lost)}`,
    ]);
    const due = result.accepted === 0 ? 0 : (pushRates(result).offered * result.expected) / result.accepted;
    all.push(['Delivery rate', `${short(result.deliveredPerSecond)}/s`, `of ${short(due)}/s offered`]);
  }
  if (latencies.length > 0)
    all.push(['Latency p99', time(latencyMs.p99), `p50 ${time(latencyMs.p50)}, max ${time(latencyMs.max)}`]);
  if (http !== null) {
    all.push(['Calls', `${short(http.requestsPerSecond)}/s`, `${short(http.requestsPerCpuSecond)} a CPU second`]);
    all.push([
      'Call p99',
      time(http.latencyMs.p99),
      `p50 ${time(http.latencyMs.p50)}, max ${time(http.latencyMs.max)}`,
    ]);
  }
  if (server.cpuSeconds > 0 && server.flushes > 0) {
    const ratio = reference?.ratios.flushes;
    const beside =
      typeof ratio === 'number'
        ? `${ratio.toFixed(2)} × bare sockets`
        : `${short(server.deliveriesPerCpuSecond)} deliveries`;
    all.push(['Flushes a CPU second', short(server.flushesPerCpuSecond), beside]);
  }
  if (server.cpuSeconds > 0 && connections.open > 0) {
    const each = server.bytesPerConnection === null ? 'cannot be told' : size(server.bytesPerConnection);
    all.push(['Memory a session', each, `${size(server.rssBytes)} for the server`]);
  }
  return html`<dl class="tiles">${all.map(([name, value, beside]) => html`<div class="tile"><dt>${name}</dt><dd>${value}</dd><dd class="beside">${beside}</dd></div>`)}</dl>`;
}

export function assertions({ assertions: all }: BenchResult): Markup {
  const rows = all.map(({ text, holds, shown, byDefault }): Row => {
    const sign = holds ? html`<span class="yes">✓ holds</span>` : html`<span class="no">✗ failed</span>`;
    const name = byDefault
      ? html`<code>${text}</code> <span class="muted">by default</span>`
      : html`<code>${text}</code>`;
    return [name, shown, sign];
  });
  return html`<section class="box"><h3>Assertions</h3>${table(['', 'measured', ''], rows, [2])}</section>`;
}

/** What the run says about itself: whether the clients and the machine could have measured better than the server served. */
export function trust(result: BenchResult): Markup {
  const { client, calibration, notes, samples } = result;
  const { is, reasons } = client.saturated;
  const measured = samples.filter(({ phase }) => phase === 'measure' || phase === 'settle');
  const machine = (of: (sample: BenchSample) => number, choose: (...values: number[]) => number) =>
    measured.length === 0 ? Number.NaN : measured.map(of).reduce((a, b) => choose(a, b));
  const mean = (of: (sample: BenchSample) => number) =>
    measured.reduce((sum, one) => sum + of(one), 0) / measured.length;
  const [first, last] = [samples[0]?.machine, samples.at(-1)?.machine];
  const grown = (of: 'listenDrops' | 'retransmits' | 'swappedBytes') => (last?.[of] ?? 0) - (first?.[of] ?? 0);
  const pairs: (readonly [string, string])[] = [['audited', auditOf(result)]];
  if (result.offered > 0) pairs.push(['sent late (>5 ms)', percent(client.sentLate)]);
  pairs.push(['client loop p99', time(client.loopP99Ms)]);
  if (calibration !== null) {
    pairs.push([
      'clients alone',
      `${short(calibration.framesPerCpuSecond)} frames a CPU second, paced within ${time(calibration.pacedWithinMs)}`,
    ]);
  }
  if (measured.length > 0) {
    const steal = machine(({ machine }) => machine.steal, Math.max);
    pairs.push(['machine idle', `${percent(mean(({ machine }) => machine.idle))} on average`]);
    pairs.push(['stolen by its host', `at most ${percent(steal)}`]);
  }
  const { audit } = result;
  pairs.push(['swapped', grown('swappedBytes') === 0 ? 'nothing' : size(Math.abs(grown('swappedBytes')))]);
  pairs.push([
    'kernel',
    `${counted(grown('listenDrops'), 'listen overflow', 'listen overflows')}, ${counted(grown('retransmits'), 'retransmit', 'retransmits')}`,
  ]);
  if (audit.foreign > 0) pairs.push(['not of this run', counted(audit.foreign, 'message', 'messages')]);
  return html`<section class="box"><h3>Can it be trusted?</h3>
<p>${is ? html`<span class="unsure">In part.</span> The harness was at its limit:` : html`<span class="yes">Yes.</span> No limit of the harness or the machine was met.`}</p>
${is ? html`<ul class="reasons">${reasons.map((reason) => html`<li>${reason}</li>`)}</ul>` : ''}
${is ? html`<p><b>Good:</b> integrity, memory, work for a CPU second. <b>Not good:</b> latency, rate.</p>` : ''}
${facts(pairs)}
${notes.map((note) => html`<p class="muted">${note}</p>`)}</section>`;
}

/** Offered, accepted and delivered side by side, and what became of them. */
export function messages(result: BenchResult): Markup {
  if (result.offered === 0) return html``;
  const { offered, accepted, refused, unknown, delivered, expected } = result;
  const rates = pushRates(result);
  const of = (part: number, whole: number) => (whole === 0 ? '' : percent(part / whole));
  const load = table(
    ['messages', 'count', 'a second', 'share'],
    [
      ['offered', count(offered), short(rates.offered), ''],
      ['accepted', count(accepted), short(rates.accepted), of(accepted, offered)],
      ...(refused > 0 ? [['refused', count(refused), '', of(refused, offered)]] : []),
      ...(unknown > 0 ? [['outcome unknown', count(unknown), '', of(unknown, offered)]] : []),
      ['deliveries expected', count(expected), '', ''],
      ['delivered', count(delivered), short(result.deliveredPerSecond), of(delivered, expected)],
    ],
  );
  return html`<section class="box"><h3>Offered, accepted, delivered</h3>${load}</section>`;
}

/** What every connection was to have, and has. */
export function integrity(result: BenchResult): Markup {
  if (result.offered === 0) return html``;
  const { excused } = result;
  const sign = (value: number) =>
    value === 0 ? html`<span class="yes">0</span>` : html`<span class="no">${count(value)}</span>`;
  const counts = table(
    ['', ''],
    [
      ['lost', sign(result.lost)],
      ['duplicate', sign(result.duplicates)],
      ['out of order', sign(result.outOfOrder)],
      ['gaps told', count(result.gaps)],
      ...(result.redelivered > 0 ? [['marked as redelivered', count(result.redelivered)]] : []),
      ...(excused.churned > 0 ? [['came and went, as wanted', count(excused.churned)]] : []),
      ...(excused.slow > 0 ? [['did not read, as wanted', count(excused.slow)]] : []),
      ...(excused.missed > 0 ? [['missed for that', count(excused.missed)]] : []),
      ...(excused.repeated > 0 ? [['repeated for that', count(excused.repeated)]] : []),
    ],
  );
  return html`<section class="box"><h3>Integrity</h3>${counts}</section>`;
}

/** Connections that broke and came back; nothing when none did. */
export function breaks({ breaks: all, plan }: BenchResult): Markup {
  if (all === null || all.connections === 0) return html``;
  const rows: Row[] = [
    ['connections that broke', count(all.connections)],
    ...byReason(all.causes).map(([reason, times]): Row => [`times: ${reason}`, count(times)]),
    ['times that one came back', count(all.returned)],
    ...(all.away > 0 ? [['not back at the end', count(all.away)] as const] : []),
    ...byReason(all.retries).map(([reason, times]): Row => [`dialled for nothing: ${reason}`, count(times)]),
    ['away, p50', time(all.awayMs.p50)],
    ['away, p99', time(all.awayMs.p99)],
    ['away, longest', time(all.awayMs.max)],
    ['delivered after a return', count(all.resumed)],
    plan.dialect === 'native' ? ['told as gap', count(all.gapped)] : ['missed while away', count(all.missed)],
    ['lost', count(all.lost)],
  ];
  return html`<section class="box"><h3>Connections that broke</h3>${table(['', ''], rows)}</section>`;
}

/** Ours and bare sockets of the same run. */
export function work({ reference, server, connections, latencyMs, seconds }: BenchResult): Markup {
  if (reference === null) return html``;
  const ratio = (value: number | null) => (value === null ? '' : `${value.toFixed(2)} ×`);
  const { ratios } = reference;
  const rows: Row[] = [
    ['flushes', short(server.flushesPerCpuSecond), short(reference.flushesPerCpuSecond), ratio(ratios.flushes)],
    [
      'deliveries',
      short(server.deliveriesPerCpuSecond),
      short(reference.deliveriesPerCpuSecond),
      ratio(ratios.deliveries),
    ],
    ['connections', short(connections.perCpuSecond), short(reference.connectsPerCpuSecond), ratio(ratios.connects)],
  ];
  const latency: Row[] = (['p50', 'p99'] as const).flatMap((what) =>
    reference.latencyMs === null
      ? []
      : [[what, time(latencyMs[what]), time(reference.latencyMs[what]), ratio(ratios[what])]],
  );
  if (ratios.settle !== null && reference.settleSeconds !== null) {
    const [ours, bare] = [seconds.settle, reference.settleSeconds].map((each) => time(each * 1_000));
    latency.push(['last message', ours ?? '', bare ?? '', ratio(ratios.settle)]);
  }
  const late =
    latency.length === 0
      ? html``
      : html`<h3>From when a message was due</h3>${table(['', 'this run', 'bare sockets', 'ratio'], latency)}`;
  const how = `Bare sockets without a server: ${counted(reference.connections, 'connection', 'connections')}, ${time(reference.seconds * 1_000)}, ${count(reference.flushes)} flushes of ${size(reference.flushBytes)}.`;
  return html`<section class="box"><h3>For a CPU second of the server</h3>${table(['', 'this run', 'bare sockets', 'ratio'], rows)}${late}<p class="muted">${how}</p></section>`;
}

/** What each role used, where they are apart. */
export function roles({ server, delivered, warmup }: BenchResult): Markup {
  const all = Object.entries(server.cpuByRole);
  if (all.length === 0) return html``;
  const measured = delivered - warmup.delivered;
  const each = (cpuSeconds: number) => (measured > 0 ? short((cpuSeconds / measured) * 1e6) : '');
  const rows = all.map(([role, cpuSeconds]): Row => [role, short(cpuSeconds), each(cpuSeconds)]);
  return html`<section class="box"><h3>CPU by role</h3>${table(['', 'seconds', 'for 1 M deliveries'], rows)}</section>`;
}

/** How long things took. */
export function times({ latencies, latencyMs, http, connections }: BenchResult): Markup {
  const row = (name: string, { p50, p90, p99, p999, max }: typeof latencyMs): Row => [
    name,
    ...[p50, p90, p99, p999, max].map(time),
  ];
  const rows: Row[] = [
    ...(latencies.length > 0 ? [row('delivery', latencyMs)] : []),
    ...(http !== null ? [row('call', http.latencyMs)] : []),
    ...(connections.open > 0 ? [row('connect', connections.connectMs)] : []),
  ];
  if (rows.length === 0) return html``;
  const from =
    latencies.length > 0
      ? html`<p class="muted">A delivery counts from when its message was due, not from when it was sent.</p>`
      : '';
  return html`<section class="box"><h3>Times</h3>${table(['', 'p50', 'p90', 'p99', 'p99.9', 'max'], rows)}${from}</section>`;
}

/** What ended, was refused or dropped, by reason. */
export function reasons(result: BenchResult): Markup {
  const last = result.samples.at(-1);
  const failed = byReason(result.connections.failed);
  const drops = byReason(last?.fanOut.reasons ?? {});
  const list = (title: string, counts: typeof failed, none: string) =>
    html`<section class="box"><h3>${title}</h3>${
      counts.length === 0
        ? html`<p class="muted">${none}</p>`
        : table(
            ['reason', 'count'],
            counts.map(([reason, times]) => [reason, count(times)]),
          )
    }</section>`;
  return html`${list('Connections that ended or never came', failed, 'None.')}${list('Dropped, refused and closed by the server', drops, 'Nothing.')}`;
}

export function comparison(a: BenchResult, compared: Comparison): Markup {
  const { differences, rows } = compared;
  const cell = (row: Comparison['rows'][number]) => {
    const kind = row.verdict === 'better' ? 'better' : row.verdict === 'worse' ? 'worse' : 'muted';
    return html`<span class="${kind}">${row.verdict}</span>${row.why === null ? '' : html`<span class="muted">: ${row.why}</span>`}`;
  };
  const body = rows.map(
    (row): Row => [
      row.metric,
      figure(row.kind, row.a),
      figure(row.kind, row.b),
      row.ratio === null || row.kind === 'count' ? '' : `${row.ratio.toFixed(2)} ×`,
      row.noise === null ? '' : `± ${percent(row.noise)}`,
      cell(row),
    ],
  );
  const other = `A is ${titleOf(a.plan)}, imgo ${a.versions.imgo}, ${a.at.slice(0, 16).replace('T', ' ')} UTC; B is this run. A ratio inside its noise shows no difference.`;
  return html`<h2>Compared</h2><section class="box"><p><b>${verdictWords(compared)}</b></p>
${differences.length === 0 ? '' : facts(differences.map((one) => [`${one.of}: ${one.name}`, `${one.a} → ${one.b}`]))}
${table(['', 'A', 'B', 'B / A', 'noise', ''], body, [5])}<p class="muted">${other}</p></section>`;
}

/** Where and with what it was run: enough to run it again. */
export function circumstances(result: BenchResult): Markup {
  const { machine, plan, versions, seconds } = result;
  const limit = (value: number) => (Number.isFinite(value) ? count(value) : 'no limit');
  const { receivers, sources } = plan;
  const each = receivers.length === 0 ? '' : `, at most ${count(Math.max(...receivers))} connections each`;
  const asked: (readonly [string, string])[] = [
    ['load', titleOf(plan)],
    ['size', `${plan.sizeBytes} bytes a frame`],
    [
      'server',
      plan.server ??
        `its own: ${counted(plan.workers, 'worker', 'workers')}, ${plan.store} store, window ${plan.windowMs === undefined ? 'by default' : time(plan.windowMs)}`,
    ],
    ...(plan.settings.length > 0 ? [['settings', plan.settings.join(' ')] as const] : []),
    [
      'clients',
      `${counted(receivers.length, 'process', 'processes')}${each}, from ${counted(sources.length, 'address', 'addresses')}`,
    ],
    [
      'phases',
      `connect ${time(seconds.connect * 1_000)}, measure ${time(seconds.measure * 1_000)}, settle ${time(seconds.settle * 1_000)}, all ${time(seconds.all * 1_000)}`,
    ],
    ['seed', String(plan.seed)],
  ];
  const here: (readonly [string, string])[] = [
    ['processor', `${machine.model}, ${counted(machine.cores, 'core', 'cores')}`],
    ['memory', `${size(machine.memoryBytes)}, ${size(machine.availableBytes)} of it free before the run`],
    ['kernel', machine.kernel],
    ['files', `${limit(machine.descriptors)} a process, ${limit(machine.files)} in all`],
    ['source ports', `${limit(machine.sourcePorts)} an address`],
    ['versions', `imgo ${versions.imgo}, Node ${versions.node}`],
  ];
  return html`<h2>How it was run</h2><pre class="command">imgo ${result.command}</pre>
<div class="pair"><section class="box"><h3>Plan</h3>${facts(asked)}</section><section class="box"><h3>Machine</h3>${facts(here)}</section></div>`;
}
