// templates/monitoring/imgo.rules.yml: a rule for each alert of the table, and those that no node can say of itself. `npm run
// docs` writes it; promtool tries it in a test.
import { ALERTS, type AlertRow } from '../../src/server/observe/alerts.js';

/** Where it stands. */
export const RULES = 'templates/monitoring/imgo.rules.yml';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly severity: string;
  readonly summary: string;
  readonly description: string;
}

/** What logics judge: they hold it for as long as it needs, and take it back with hysteresis. */
function judged(): readonly Rule[] {
  return (Object.entries(ALERTS) as [string, AlertRow][]).map(([code, { when, until, knob, advice }]) => ({
    alert: `Imgo${code.replace(/(?:^|_)([a-z])/g, (_all, letter: string) => letter.toUpperCase())}`,
    expr: `max by (code, severity) (imgo_alert{code="${code}"}) > 0`,
    severity:
      '{{ if eq $labels.severity "error" }}critical{{ else if eq $labels.severity "note" }}info{{ else }}warning{{ end }}',
    summary: `${when} ({{ $value }})`,
    description: [
      ...advice,
      ...(knob === '' ? [] : [`setting: ${knob}`]),
      `until: ${until}`,
      'which, and since when: imgo status, imgo top',
    ].join('; '),
  }));
}

/** Codes with which a push fails though it is right. */
const OURS = 'store_full|store_failed|overloaded|outcome_unknown|kafka_unreachable|kafka_topic_changed|internal';

const OUTSIDE: readonly Rule[] = [
  {
    alert: 'ImgoDown',
    expr: 'up{job="imgo"} == 0',
    for: '1m',
    severity: 'critical',
    summary: '{{ $labels.instance }} does not answer Prometheus',
    description: 'does it run? curl it: /healthz; 401 is a key that is not that of observe.metrics_key_file',
  },
  {
    alert: 'ImgoAbsent',
    expr: 'absent(imgo_build_info)',
    for: '5m',
    severity: 'critical',
    summary: 'no node of imgo is scraped',
    description: 'are the targets of prometheus.yml those that there are?',
  },
  {
    alert: 'ImgoRestarts',
    expr: 'changes(process_start_time_seconds{job="imgo"}[15m]) > 2',
    severity: 'warning',
    summary: '{{ $labels.instance }} has started {{ $value }} times in 15 minutes',
    description: 'its log says why it ended; dmesg whether the kernel ended it for its memory',
  },
  {
    alert: 'ImgoNotReady',
    expr: 'imgo_ready == 0',
    for: '2m',
    severity: 'critical',
    summary: '{{ $labels.instance }} is kept from its work',
    description:
      'imgo_problem{instance="{{ $labels.instance }}"} has the codes; imgo explain CODE says what each means',
  },
  {
    alert: 'ImgoPushesFail',
    expr: `sum by (code) (rate(imgo_push_refused_total{code=~"${OURS}"}[5m])) > 0`,
    for: '2m',
    severity: 'critical',
    summary: 'pushes fail with {{ $labels.code }}',
    description: 'imgo explain {{ $labels.code }}; callers may repeat them with an idempotency key',
  },
  {
    alert: 'ImgoAcceptSlow',
    expr: 'histogram_quantile(0.99, sum by (le) (rate(imgo_push_accept_duration_seconds_bucket[5m]))) > 1',
    for: '5m',
    severity: 'warning',
    summary: 'accepting a push takes {{ $value | humanizeDuration }} (p99)',
    description: 'the disk of the store, or the brokers, are slow to sync; imgo top shows what waits',
  },
  {
    alert: 'ImgoDeliverySlow',
    expr: 'histogram_quantile(0.99, sum by (le) (rate(imgo_comet_delivery_duration_seconds_bucket[5m]))) > 5',
    for: '10m',
    severity: 'warning',
    summary: 'a message takes {{ $value | humanizeDuration }} from its acceptance to a socket (p99)',
    description: 'too many members for these comets, or a queue that is behind: imgo top, its rooms and its queue',
  },
  {
    alert: 'ImgoGapsUntold',
    expr: 'sum(increase(imgo_comet_gaps_untold_total[10m])) > 0',
    severity: 'warning',
    summary: '{{ $value }} times messages were lost to clients that cannot be told',
    description:
      'old dialects have no word for a gap: limits.lag.max, delivery.keep, rooms.keep; or the native protocol',
  },
  {
    alert: 'ImgoQueueBehind',
    expr: 'max(imgo_queue_lag_messages) > 10000 and max(deriv(imgo_queue_lag_messages[10m])) > 0',
    for: '10m',
    severity: 'warning',
    summary: '{{ $value }} messages wait in Kafka, and it becomes more',
    description: 'more jobs, up to one a partition; is Redis slow?',
  },
];

const HEAD = `# Alerts of imgo. The first group is what logics judge by themselves (imgo top and imgo status show the same; thresholds are
# the [alerts] of imgo.toml), the second what no node can say of itself. Made by the sources of imgo; change it as you like.`;

/** The file. */
export function alertRules(): string {
  return `${HEAD}\ngroups:\n${group('imgo', judged())}\n${group('imgo-outside', OUTSIDE)}\n`;
}

function group(name: string, rules: readonly Rule[]): string {
  return [`  - name: ${name}`, '    rules:', ...rules.flatMap(lines)].join('\n');
}

function lines({ alert, expr, for: since, severity, summary, description }: Rule): readonly string[] {
  return [
    `      - alert: ${alert}`,
    `        expr: ${JSON.stringify(expr)}`,
    ...(since === undefined ? [] : [`        for: ${since}`]),
    '        labels:',
    `          severity: ${JSON.stringify(severity)}`,
    '        annotations:',
    `          summary: ${JSON.stringify(summary)}`,
    `          description: ${JSON.stringify(description)}`,
  ];
}
