// What one looks at while a benchmark runs. It draws one moment and holds no state: what it shows is what track.ts says.
// Below 100 columns what explains goes first, below 80 what compares; on few lines only what moves is left.

import { Box, Text } from 'ink';
import type { ReactNode } from 'react';
import type { BenchPhase } from '../../bench/figures.js';
import { count, percent, short, size, time } from '../../bench/numbers.js';
import type { BenchPlan } from '../../bench/plan.js';
import { localise, paint } from '../style.js';
import { bar, spark } from '../tui/draw.js';
import type { GroupMoment, Moment } from './track.js';

/** What the view is drawn with. */
export interface ViewProps {
  readonly plan: BenchPlan;
  readonly moment: Moment;
  /** Bare sockets are measured at the end. */
  readonly reference: boolean;
  /** Since the moment was told. */
  readonly agoMs: number;
  /** Ctrl-C was pressed. */
  readonly stopping: boolean;
  readonly columns: number;
  readonly rows: number;
  readonly coloured: boolean;
  readonly unicode: boolean;
}

const LABEL = 13;
/** Lines of the whole view; on fewer the short one is drawn. */
const WHOLE = 17;
const STALE_MS = 3_000;
/** Of a server that was not asked for another. */
const WINDOW_MS = 100;

export function BenchView(props: ViewProps): ReactNode {
  const { moment } = props;
  const short = props.rows < WHOLE;
  return (
    <Box flexDirection="column">
      <Title {...props} />
      <Phases {...props} />
      {short || <Text> </Text>}
      <Connections {...props} />
      <Progress {...props} />
      <Rates {...props} />
      <Latency {...props} />
      {short || <FanOut {...props} />}
      {short || <Groups {...props} />}
      <Errors {...props} />
      {moment.marks.length > 0 && <Line {...props} colour="yellow" text={`▲ ${moment.marks.join(' · ')}`} />}
      <Ending {...props} />
    </Box>
  );
}

type Look = Pick<ViewProps, 'columns' | 'coloured' | 'unicode'>;

/** A line of its own, cut at the edge; `from`: the column it begins at. */
function Line(props: Look & { readonly text: string; readonly colour?: Colour; readonly from?: number }) {
  const { text, colour, from = 0, columns, coloured, unicode } = props;
  // Ink would end it with a sign that not every locale has.
  const shown = unicode ? text : localise(text, {}).slice(0, columns - from);
  return <Text wrap="truncate-end">{colour === undefined ? shown : paint(colour, shown, coloured)}</Text>;
}

type Colour = Parameters<typeof paint>[0];

/** A line with what it is about on the left. Texts that are undefined are left out. */
function Row(props: Look & { readonly label: string; readonly texts: readonly (string | undefined)[] }) {
  const text = props.texts.filter((one) => one !== undefined).join('   ');
  return (
    <Box>
      <Box width={LABEL} flexShrink={0}>
        <Text>{paint('dim', props.label, props.coloured)}</Text>
      </Box>
      <Line {...props} text={text} from={LABEL} />
    </Box>
  );
}

function Title(props: ViewProps) {
  const { mode, connections, dialect, transport, rate, seed } = props.plan;
  const kind = `${mode} · ${count(connections)} ${dialect} clients over ${transport}`;
  const load = mode === 'idle' || mode === 'connect' ? '' : ` · ${rate} msg/s`;
  return <Line {...props} colour="bold" text={`imgo bench  ${kind}${load} · seed ${seed}`} />;
}

const PHASES: readonly BenchPhase[] = ['preflight', 'calibrate', 'connect', 'warmup', 'measure', 'settle', 'audit'];

function Phases(props: ViewProps) {
  const { moment, reference, agoMs, columns, unicode, coloured } = props;
  const wide = columns >= 80;
  const [past, now] = unicode ? ['✓', '●'] : ['+', '*'];
  const done = moment.done.filter(({ phase }) => phase !== 'plan');
  const all: readonly BenchPhase[] = reference && props.plan.mode !== 'http' ? [...PHASES, 'reference'] : PHASES;
  const coming = all.slice(Math.max(all.indexOf(moment.phase), all.indexOf(done.at(-1)?.phase ?? 'plan')) + 1);
  const parts = [
    ...done.map(({ phase, seconds }) => `${past} ${phase}${wide ? ` ${Math.round(seconds)} s` : ''}`),
    paint('bold', `${now} ${moment.phase}`, coloured),
    ...coming.map((phase) => paint('dim', phase, coloured)),
  ];
  const seconds = moment.seconds + agoMs / 1_000;
  return (
    <Box justifyContent="space-between">
      <Text wrap="truncate-end">{parts.join(wide ? '  ' : ' ')}</Text>
      {wide && (
        <Box flexShrink={0}>
          <Text>{`  ${time(Math.round(seconds) * 1_000)}`}</Text>
        </Box>
      )}
    </Box>
  );
}

function Connections(props: ViewProps) {
  const { moment, plan, columns, unicode } = props;
  const { connections } = plan;
  const connecting = moment.phase === 'connect';
  return (
    <Row
      {...props}
      label="CONNECTED"
      texts={[
        `${count(moment.open)} of ${count(connections)}`,
        columns >= 80 || connecting ? bar(moment.open / connections, barWidth(columns), unicode) : undefined,
        connecting ? `${short(moment.connectsPerSecond)}/s` : undefined,
        connecting && moment.leftMs !== undefined ? `${time(moment.leftMs)} left` : undefined,
      ]}
    />
  );
}

function barWidth(columns: number): number {
  return columns >= 100 ? 32 : columns >= 80 ? 20 : 12;
}

function Progress(props: ViewProps) {
  const { moment, agoMs, columns, unicode } = props;
  const { phase, share, leftMs } = moment;
  if (phase === 'connect') return null;
  const known = leftMs === undefined || share === undefined ? undefined : { share, leftMs };
  return (
    <Row
      {...props}
      label={phase.toUpperCase()}
      texts={[
        `${Math.floor(moment.phaseSeconds + agoMs / 1_000)} s`,
        known && bar(known.share, barWidth(columns), unicode),
        known && `${phase === 'settle' ? 'at most ' : ''}${time(Math.ceil(known.leftMs / 1_000) * 1_000)} left`,
        agoMs > STALE_MS ? `no news for ${Math.round(agoMs / 1_000)} s` : undefined,
      ]}
    />
  );
}

function Rates(props: ViewProps) {
  const { moment, columns, unicode } = props;
  const drawn = Math.min(40, columns - 80);
  return (
    <Row
      {...props}
      label="RATES"
      texts={[
        `offered ${short(moment.offeredPerSecond)}/s`,
        `accepted ${short(moment.acceptedPerSecond)}/s`,
        `delivered ${short(moment.deliveredPerSecond)}/s`,
        drawn >= 15 && moment.delivered.length > 1 ? spark(moment.delivered, drawn, unicode) : undefined,
      ]}
    />
  );
}

function Latency(props: ViewProps) {
  const { moment, columns, unicode } = props;
  const { latencyMs, p99 } = moment;
  const drawn = Math.min(40, columns - 80);
  if (latencyMs === null) return <Row {...props} label="LATENCY" texts={['nothing arrived in this second']} />;
  return (
    <Row
      {...props}
      label="LATENCY"
      texts={[
        `p50 ${time(latencyMs.p50)}`,
        columns >= 80 ? `p90 ${time(latencyMs.p90)}` : undefined,
        `p99 ${time(latencyMs.p99)}`,
        columns >= 80 ? `max ${time(latencyMs.max)}` : undefined,
        drawn >= 15 && p99.length > 1 ? `${spark(p99, drawn, unicode)} p99` : undefined,
      ]}
    />
  );
}

function FanOut(props: ViewProps) {
  const { moment, plan, columns } = props;
  const { windowMs, sweepMs, ringBytes, lagging, gaps } = moment.fanOut;
  const wide = columns >= 100;
  const behind = sweepMs > (plan.windowMs ?? WINDOW_MS);
  return (
    <Row
      {...props}
      label="SWEEP"
      texts={[
        `${behind ? '▲ ' : ''}${time(sweepMs)}, window ${time(windowMs)}`,
        `${short(moment.flushesPerSecond)} flushes/s${moment.perFlush === undefined ? '' : ` of ${short(moment.perFlush)}`}`,
        wide ? `ring ${size(ringBytes)}` : undefined,
        `lagging ${short(lagging)}`,
        columns >= 80 ? `gaps ${short(gaps)}` : undefined,
      ]}
    />
  );
}

function Groups(props: ViewProps) {
  const { moment, columns } = props;
  const { machine } = moment;
  const wide = columns >= 100;
  return (
    <>
      <Group {...props} label="server" group={moment.server} />
      <Group {...props} label="client" group={moment.client} />
      <Group {...props} label="coordinator" group={moment.coordinator} />
      <Row
        {...props}
        label="machine"
        texts={[
          `idle ${percent(machine.idle)}`,
          columns >= 80 ? `steal ${percent(machine.steal)}` : undefined,
          `${size(machine.availableBytes)} free`,
          wide ? `${size(machine.tcpMemBytes)} in sockets` : undefined,
          wide ? `dropped ${count(machine.listenDrops)}` : undefined,
          wide ? `sent again ${count(machine.retransmits)}` : undefined,
        ]}
      />
    </>
  );
}

function Group(props: ViewProps & { readonly label: string; readonly group: GroupMoment }) {
  const { group, moment, columns, unicode } = props;
  const { processes, cores, rssBytes, loop, loopP99Ms } = group;
  return (
    <Row
      {...props}
      texts={[
        columns >= 100 ? `${count(processes)} ${processes === 1 ? 'process' : 'processes'}`.padEnd(13) : undefined,
        `${cores.toFixed(2)} core`.padStart(9),
        columns >= 80 ? bar(moment.cores === 0 ? 0 : cores / moment.cores, 10, unicode) : undefined,
        `loop ${percent(loop)}`.padEnd(11),
        columns >= 80 ? `p99 ${time(loopP99Ms)}`.padEnd(11) : undefined,
        size(rssBytes),
      ]}
    />
  );
}

function Errors(props: ViewProps) {
  const { errors } = props.moment;
  const texts = errors.length === 0 ? ['none'] : errors.map(([reason, n]) => `${reason} ${count(n)}`);
  return <Row {...props} label="ERRORS" texts={texts} />;
}

function Ending(props: ViewProps) {
  const text = props.stopping
    ? 'Interrupted: the account follows. Ctrl-C again ends it without one.'
    : 'Ctrl-C ends it with the account of what there was.';
  return <Line {...props} colour={props.stopping ? 'yellow' : 'dim'} text={text} />;
}
