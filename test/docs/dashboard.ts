// templates/monitoring/grafana-dashboard.json, made here so that a panel is a line: rows as `imgo top` has them, then what is
// behind each. `npm run docs` writes it; a test holds each query against a real scrape.

/** Where it stands. */
export const DASHBOARD = 'templates/monitoring/grafana-dashboard.json';

interface Panel {
  readonly title: string;
  readonly about?: string;
  readonly unit: string;
  readonly kind?: 'timeseries' | 'stat' | 'table' | 'heatmap';
  /** Columns of 24. */
  readonly width?: number;
  readonly stacked?: boolean;
  readonly max?: number;
  /** From here on it is yellow, and red. */
  readonly limits?: readonly [number, number];
  /** Each a legend and a query. */
  readonly queries: Readonly<Record<string, string>>;
}

interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const ON = 'instance=~"$instance"';
const rate = (name: string, more = '') => `rate(${name}{${ON}${more}}[$__rate_interval])`;
const quantile = (q: number, name: string, by = '') =>
  `histogram_quantile(${q}, sum by (le${by}) (${rate(`${name}_bucket`)}))`;

const ROWS: readonly Row[] = [
  {
    title: 'The cluster in one look',
    panels: [
      stat('Connections', 'short', `sum(imgo_comet_connections{${ON}})`),
      stat('Accepted', 'cps', `sum(${rate('imgo_push_accepted_total')})`),
      stat('Delivered', 'cps', `sum(${rate('imgo_comet_deliveries_total')})`),
      stat(
        'Messages a write',
        'none',
        `sum(${rate('imgo_comet_deliveries_total')}) / sum(${rate('imgo_comet_writes_total')})`,
      ),
      stat('Accepted in (p99)', 's', quantile(0.99, 'imgo_push_accept_duration_seconds'), [0.1, 1]),
      stat('To a socket in (p99)', 's', quantile(0.99, 'imgo_comet_delivery_duration_seconds'), [1, 5]),
      stat('Waiting (oldest)', 's', `max(imgo_queue_oldest_age_seconds{${ON}})`, [1, 5]),
      stat('Gaps', 'cps', `sum(${rate('imgo_comet_gaps_total')})`, [0.001, 1]),
      {
        title: 'Connections',
        unit: 'short',
        stacked: true,
        width: 12,
        queries: { '{{dialect}} {{transport}}': `sum by (dialect, transport) (imgo_comet_sessions{${ON}})` },
      },
      {
        title: 'Delivered',
        unit: 'cps',
        stacked: true,
        width: 12,
        about: 'Messages given to sockets: of user logs, of rooms, ephemeral ones to users',
        queries: { '{{to}}': `sum by (to) (${rate('imgo_comet_deliveries_total')})` },
      },
      {
        title: 'Alerts',
        kind: 'table',
        unit: 'none',
        width: 12,
        about: 'What the logics say is not as it should be: imgo top shows the same, with what to do',
        queries: { '': 'max by (code, severity) (imgo_alert) > 0' },
      },
      {
        title: 'Problems of nodes',
        kind: 'table',
        unit: 'none',
        width: 12,
        about: 'Error codes that keep a node from its work; imgo explain CODE says what each means',
        queries: { '': `imgo_problem{${ON}}` },
      },
    ],
  },
  {
    title: 'Latency',
    panels: [
      {
        title: 'From a push to its acceptance',
        unit: 's',
        about: 'Durable on disk, or with all replicas of Kafka',
        queries: {
          p50: quantile(0.5, 'imgo_push_accept_duration_seconds'),
          p90: quantile(0.9, 'imgo_push_accept_duration_seconds'),
          p99: quantile(0.99, 'imgo_push_accept_duration_seconds'),
        },
      },
      {
        title: 'From acceptance to the socket',
        unit: 's',
        about: 'One delivery in 64; with fanout.window it waits for others of its room',
        queries: {
          p50: quantile(0.5, 'imgo_comet_delivery_duration_seconds'),
          p90: quantile(0.9, 'imgo_comet_delivery_duration_seconds'),
          p99: quantile(0.99, 'imgo_comet_delivery_duration_seconds'),
        },
      },
      {
        title: 'Delivery, by node (p99)',
        unit: 's',
        queries: {
          '{{instance}}/{{worker}}': quantile(0.99, 'imgo_comet_delivery_duration_seconds', ', instance, worker'),
        },
      },
      {
        title: 'Event loop: late by (p99)',
        unit: 's',
        limits: [0.1, 0.5],
        queries: { '{{instance}}': quantile(0.99, 'imgo_eventloop_delay_seconds', ', instance') },
      },
      {
        title: 'Comets: clockwork late by (p99)',
        unit: 's',
        limits: [0.1, 0.5],
        queries: { '{{instance}}/{{worker}}': `imgo_comet_eventloop_delay_p99_seconds{${ON}}` },
      },
    ],
  },
  {
    title: 'Nodes and their workers',
    panels: [
      each('Connections', 'short', `imgo_comet_connections{${ON}}`),
      each('Delivered', 'cps', `sum by (instance, worker) (${rate('imgo_comet_deliveries_total')})`),
      each('Writes', 'cps', rate('imgo_comet_writes_total')),
      each('CPU of comets', 'percentunit', rate('imgo_comet_cpu_seconds_total')),
      {
        title: 'CPU of nodes',
        unit: 'percentunit',
        about: 'Of the process that has the API, the job, and without workers the connections',
        queries: { '{{instance}}': rate('process_cpu_seconds_total') },
      },
      each('Memory of comets', 'bytes', `imgo_comet_resident_memory_bytes{${ON}}`),
      {
        title: 'Descriptors in use',
        unit: 'percentunit',
        max: 1,
        limits: [0.8, 0.9],
        queries: {
          '{{instance}}': `process_open_fds{${ON}} / process_max_fds{${ON}}`,
          '{{instance}}/{{worker}}': `imgo_comet_open_fds{${ON}} / imgo_comet_max_fds{${ON}}`,
        },
      },
      each('New sessions', 'cps', rate('imgo_comet_opened_total')),
      each('Sent', 'Bps', rate('imgo_comet_sent_bytes_total')),
    ],
  },
  {
    title: 'Rooms',
    panels: [
      each('Rooms', 'short', `imgo_comet_rooms{${ON}}`),
      each('Members', 'short', `imgo_comet_members{${ON}}`),
      each('Lagging members', 'short', `imgo_comet_lagging_members{${ON}}`),
      each('Lagging sessions', 'short', `imgo_comet_lagging_sessions{${ON}}`),
      each('Slowest sweep', 's', `imgo_comet_slowest_sweep_seconds{${ON}}`),
      each('Sweeps', 'cps', rate('imgo_comet_sweeps_total')),
      each('Rings', 'bytes', `imgo_comet_ring_bytes{${ON}}`),
      {
        title: 'Messages a write to a room',
        unit: 'none',
        about: 'Under load more go into one write, which is what keeps it going',
        queries: {
          '{{instance}}/{{worker}}': `sum by (instance, worker) (${rate('imgo_comet_deliveries_total', ', to="room"')}) / sum by (instance, worker) (${rate('imgo_comet_room_writes_total')})`,
        },
      },
      each('Sockets that were full', 'cps', rate('imgo_comet_holds_total')),
      each('Gaps for lag', 'cps', rate('imgo_comet_lag_gaps_total')),
    ],
  },
  {
    title: 'Queue, job and store',
    panels: [
      {
        title: 'Waiting',
        unit: 'short',
        queries: {
          '{{instance}}': `imgo_queue_waiting_messages{${ON}}`,
          'behind in Kafka': 'max(imgo_queue_lag_messages)',
        },
      },
      {
        title: 'Oldest that waits',
        unit: 's',
        limits: [1, 5],
        queries: { '{{instance}}': `imgo_queue_oldest_age_seconds{${ON}}` },
      },
      {
        title: 'Applied, by what became of it',
        unit: 'cps',
        stacked: true,
        queries: { '{{outcome}}': `sum by (outcome) (${rate('imgo_job_records_total')})` },
      },
      {
        title: 'Kafka',
        unit: 'cps',
        about: 'Batches, retries, rebalances, seeks, commits of the nodes',
        queries: { '{{event}}': `sum by (event) (${rate('imgo_queue_events_total')})` },
      },
      {
        title: 'Store',
        unit: 'bytes',
        about: 'Nodes on one Redis say the same',
        queries: { used: `max(imgo_store_used_bytes{${ON}})`, free: `min(imgo_store_free_bytes{${ON}})` },
      },
      {
        title: 'What the store did',
        unit: 'cps',
        queries: { '{{event}}': `sum by (event) (${rate('imgo_store_events_total')})` },
      },
      {
        title: 'Comets that were to read again',
        unit: 'cps',
        about: 'They had not acknowledged what they were told, or had lost their lease, or the store had lost writes',
        queries: {
          'told by jobs': `sum(${rate('imgo_job_resyncs_total')})`,
          'lease lost': `sum(${rate('imgo_comet_fences_total')})`,
          'store behind': `sum(${rate('imgo_job_store_behind_total')})`,
        },
      },
      {
        title: 'Reads of logs',
        unit: 'cps',
        queries: {
          '{{of}}': `sum by (of) (${rate('imgo_comet_log_reads_total')})`,
          '{{of}} failed': `sum by (of) (${rate('imgo_comet_log_read_failures_total')})`,
        },
      },
    ],
  },
  {
    title: 'Refused, closed, dropped: by reason',
    panels: [
      reasons('Pushes refused', 'imgo_push_refused_total', 'code'),
      reasons('Connections closed by the server', 'imgo_comet_closed_total', 'reason'),
      reasons('Clients refused', 'imgo_comet_refused_total', 'reason'),
      reasons('Ephemeral messages dropped', 'imgo_comet_dropped_total', 'reason'),
      reasons('Faults of sockets', 'imgo_comet_faults_total', 'reason'),
      reasons('Calls that failed', 'imgo_comet_failures_total', 'reason'),
      reasons('Spans that a receiver did not get', 'imgo_spans_dropped_total', 'reason'),
      {
        title: 'Gaps',
        unit: 'cps',
        about: 'Told to native clients; of the others nobody can be told',
        queries: {
          'in {{in}}': `sum by (in) (${rate('imgo_comet_gaps_total')})`,
          'untold, in {{in}}': `sum by (in) (${rate('imgo_comet_gaps_untold_total')})`,
        },
      },
      {
        title: 'Ephemeral messages lost by jobs',
        unit: 'cps',
        queries: { '{{reason}}': `sum by (reason) (${rate('imgo_job_ephemeral_lost_total')})` },
      },
    ],
  },
  {
    title: 'Node.js',
    panels: [
      {
        title: 'Event loop at work',
        unit: 'percentunit',
        max: 1,
        limits: [0.8, 0.95],
        queries: { '{{instance}}': rate('nodejs_eventloop_active_seconds_total') },
      },
      {
        title: 'Heap',
        unit: 'bytes',
        queries: {
          '{{instance}} used': `nodejs_heap_size_used_bytes{${ON}}`,
          '{{instance}} outside': `nodejs_external_memory_bytes{${ON}}`,
        },
      },
      {
        title: 'Garbage collector: share of time',
        unit: 'percentunit',
        queries: { '{{instance}} {{kind}}': rate('nodejs_gc_duration_seconds_sum') },
      },
    ],
  },
];

/** The file. */
export function dashboard(): string {
  const panels: object[] = [];
  let y = 0;
  for (const row of ROWS) {
    panels.push({
      type: 'row',
      title: row.title,
      collapsed: false,
      gridPos: { h: 1, w: 24, x: 0, y },
      id: panels.length + 1,
      panels: [],
    });
    y += 1;
    let x = 0;
    let height = 0;
    for (const panel of row.panels) {
      const w = panel.width ?? 8;
      const h = panel.kind === 'stat' ? 4 : 8;
      if (x + w > 24 || (height !== 0 && h !== height)) {
        x = 0;
        y += height;
      }
      height = h;
      panels.push({ id: panels.length + 1, gridPos: { h, w, x, y }, ...panelOf(panel) });
      x += w;
    }
    y += height;
  }
  return `${JSON.stringify({ ...HEAD, panels }, undefined, 2)}\n`;
}

function stat(title: string, unit: string, query: string, limits?: readonly [number, number]): Panel {
  return { title, unit, kind: 'stat', width: 3, queries: { '': query }, ...(limits === undefined ? {} : { limits }) };
}

/** A line for each process that holds connections. */
function each(title: string, unit: string, query: string): Panel {
  return { title, unit, queries: { '{{instance}}/{{worker}}': query } };
}

function reasons(title: string, name: string, label: string): Panel {
  return { title, unit: 'cps', stacked: true, queries: { [`{{${label}}}`]: `sum by (${label}) (${rate(name)})` } };
}

const DATASOURCE = { type: 'prometheus', uid: '$datasource' };

function panelOf({ title, about, unit, kind = 'timeseries', stacked, max, limits, queries }: Panel): object {
  const [yellow, red] = limits ?? [];
  const steps = [
    { color: 'green', value: null },
    ...(yellow === undefined ? [] : [{ color: 'yellow', value: yellow }]),
    ...(red === undefined ? [] : [{ color: 'red', value: red }]),
  ];
  const drawn =
    kind === 'timeseries'
      ? {
          drawStyle: 'line',
          lineWidth: 1,
          fillOpacity: stacked === true ? 30 : 5,
          showPoints: 'never',
          stacking: { mode: stacked === true ? 'normal' : 'none', group: 'A' },
          thresholdsStyle: { mode: limits === undefined ? 'off' : 'line' },
        }
      : {};
  return {
    type: kind,
    title,
    ...(about === undefined ? {} : { description: about }),
    datasource: DATASOURCE,
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        ...(max === undefined ? {} : { max }),
        thresholds: { mode: 'absolute', steps },
        custom: drawn,
      },
      overrides: [],
    },
    options: OPTIONS[kind],
    targets: Object.entries(queries).map(([legendFormat, expr], at) => ({
      refId: String.fromCharCode(65 + at),
      datasource: DATASOURCE,
      expr,
      ...(kind === 'table' ? { format: 'table', instant: true } : { legendFormat: legendFormat || '__auto' }),
    })),
  };
}

const OPTIONS: Readonly<Record<NonNullable<Panel['kind']>, object>> = {
  timeseries: {
    legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
    tooltip: { mode: 'multi', sort: 'desc' },
  },
  stat: { reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false }, colorMode: 'value', graphMode: 'area' },
  table: { showHeader: true, cellHeight: 'sm' },
  heatmap: {},
};

const HEAD = {
  title: 'imgo',
  uid: 'imgo',
  tags: ['imgo'],
  timezone: 'browser',
  schemaVersion: 39,
  refresh: '15s',
  time: { from: 'now-1h', to: 'now' },
  graphTooltip: 1,
  editable: true,
  annotations: { list: [] },
  links: [],
  templating: {
    list: [
      { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Prometheus', current: {}, hide: 0 },
      {
        name: 'instance',
        type: 'query',
        label: 'Node',
        datasource: DATASOURCE,
        query: { query: 'label_values(imgo_build_info, instance)', refId: 'instance' },
        refresh: 2,
        multi: true,
        includeAll: true,
        allValue: '.*',
        current: { text: 'All', value: '$__all' },
        sort: 1,
      },
    ],
  },
};
