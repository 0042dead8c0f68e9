/**
 * THE metrics: every name that a node tells at /metrics, with its type, its labels and what it means. Names and units are by
 * Prometheus' conventions (base units, `_total`), every label is from a table of ours: never a user, a room or a session. The
 * answer, docs/metrics.md and the tests are made from this table.
 */

/** One metric. */
export interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** Which roles tell it. */
  readonly of: 'node' | 'logic' | 'comet' | 'job' | 'queue' | 'store';
  /** What it counts or measures: the HELP line, and the docs. */
  readonly help: string;
  readonly labels?: readonly string[];
}

/** Where connections are held: this process, or a worker of it. */
const WORKER = ['worker'] as const;

export const METRICS = {
  imgo_build_info: {
    type: 'gauge',
    of: 'node',
    help: '1; the labels say which imgo runs here, on which Node, as what',
    labels: ['version', 'node_version', 'node', 'roles'],
  },
  imgo_ready: { type: 'gauge', of: 'node', help: '1 while /readyz answers 200: nothing keeps the node from its work' },
  imgo_problem: {
    type: 'gauge',
    of: 'node',
    help: '1 for each error code that keeps this node from its work now: Redis, Kafka, the store, its logics',
    labels: ['code'],
  },
  process_cpu_seconds_total: { type: 'counter', of: 'node', help: 'CPU time of this process, user and system' },
  process_resident_memory_bytes: { type: 'gauge', of: 'node', help: 'Resident memory of this process' },
  process_start_time_seconds: { type: 'gauge', of: 'node', help: 'When this process started, in seconds since 1970' },
  process_open_fds: { type: 'gauge', of: 'node', help: 'Descriptors that this process has open' },
  process_max_fds: { type: 'gauge', of: 'node', help: 'Descriptors that this process may have open: its hard limit' },
  nodejs_heap_size_total_bytes: { type: 'gauge', of: 'node', help: 'Heap of V8, as far as it is mapped' },
  nodejs_heap_size_used_bytes: { type: 'gauge', of: 'node', help: 'Heap of V8 in use' },
  nodejs_external_memory_bytes: { type: 'gauge', of: 'node', help: 'Memory of buffers outside the heap of V8' },
  nodejs_eventloop_active_seconds_total: {
    type: 'counter',
    of: 'node',
    help: 'Time that the event loop was at work; its rate is the share of one core, 1 is saturated',
  },
  nodejs_gc_duration_seconds: {
    type: 'histogram',
    of: 'node',
    help: 'Pauses of the garbage collector since the first scrape, by kind',
    labels: ['kind'],
  },
  imgo_eventloop_delay_seconds: {
    type: 'histogram',
    of: 'node',
    help: 'How late a timer of 50 ms came, since the first scrape: what everything else on this event loop waits, too',
  },
  imgo_alert: {
    type: 'gauge',
    of: 'logic',
    help: 'How many subjects (nodes, rooms) of the whole server an alert holds for, 0: none; every logic says it, so take the max',
    labels: ['code', 'severity'],
  },
  imgo_spans_exported_total: {
    type: 'counter',
    of: 'node',
    help: 'Spans that the OpenTelemetry receiver took, where one is named',
    labels: WORKER,
  },
  imgo_spans_dropped_total: {
    type: 'counter',
    of: 'node',
    help: 'Spans that it did not get: too many waited (queue_full), it refused them (refused), the process ended (unsent)',
    labels: [...WORKER, 'reason'],
  },
  imgo_push_accepted_total: {
    type: 'counter',
    of: 'logic',
    help: 'Messages accepted from callers, by kind of target; ephemeral: never stored',
    labels: ['target'],
  },
  imgo_push_refused_total: {
    type: 'counter',
    of: 'logic',
    help: 'Messages not accepted, or with an unknown outcome, by error code',
    labels: ['code'],
  },
  imgo_push_accept_duration_seconds: {
    type: 'histogram',
    of: 'logic',
    help: 'From a valid push to its acceptance: durable on disk, or with all replicas of Kafka',
  },
  imgo_http_refused_connections_total: {
    type: 'counter',
    of: 'logic',
    help: 'HTTP connections closed at once because there were too many',
  },
  imgo_http_slow_bodies_total: {
    type: 'counter',
    of: 'logic',
    help: 'HTTP connections closed because a body took too long',
  },
  imgo_queue_waiting_messages: {
    type: 'gauge',
    of: 'queue',
    help: 'Messages that this node took and that are not durable in the queue yet; embedded: not applied yet',
  },
  imgo_queue_waiting_bytes: { type: 'gauge', of: 'queue', help: 'Bytes of the messages that wait' },
  imgo_queue_oldest_age_seconds: { type: 'gauge', of: 'queue', help: 'Age of the oldest message that waits' },
  imgo_queue_lag_messages: {
    type: 'gauge',
    of: 'queue',
    help: 'Kafka: messages in the topic that no job has committed; of the whole topic, so take the max over nodes',
  },
  imgo_queue_accepted_total: { type: 'counter', of: 'queue', help: 'Messages that the queue took from this node' },
  imgo_queue_refused_total: {
    type: 'counter',
    of: 'queue',
    help: 'Messages that the queue did not take, by error code',
    labels: ['code'],
  },
  imgo_queue_dropped_total: {
    type: 'counter',
    of: 'queue',
    help: 'Ephemeral messages that the queue dropped, by reason',
    labels: ['reason'],
  },
  imgo_queue_events_total: {
    type: 'counter',
    of: 'queue',
    help: "What the queue's client of Kafka did: requests, batches, retries, rebalances, seeks, commits, poison and the like",
    labels: ['event'],
  },
  imgo_store_writable: { type: 'gauge', of: 'store', help: '1 while messages can be kept' },
  imgo_store_used_bytes: {
    type: 'gauge',
    of: 'store',
    help: 'Bytes that the store uses; nodes on one Redis say the same, so take the max',
  },
  imgo_store_free_bytes: {
    type: 'gauge',
    of: 'store',
    help: 'Bytes free for the store: of its disk, or up to maxmemory of Redis; nodes on one Redis say the same',
  },
  imgo_store_events_total: {
    type: 'counter',
    of: 'store',
    help: 'What the store did for this node: appended, repeated, trimmed_expired, trimmed_cap, commits_failed and the like',
    labels: ['event'],
  },
  imgo_trace_messages_total: {
    type: 'counter',
    of: 'node',
    help: 'Messages that are traced and of which this process has noted a step',
  },
  imgo_trace_forgotten_total: {
    type: 'counter',
    of: 'node',
    help: 'Traced messages forgotten because their hour was over (age) or there were too many (bytes), and steps above what one may have (steps)',
    labels: ['reason'],
  },
  imgo_job_records_total: {
    type: 'counter',
    of: 'job',
    help: 'Messages that the job took from the queue, by what became of them',
    labels: ['outcome'],
  },
  imgo_job_ephemeral_total: {
    type: 'counter',
    of: 'job',
    help: 'Ephemeral messages that the job took',
  },
  imgo_job_ephemeral_lost_total: {
    type: 'counter',
    of: 'job',
    help: 'Of them: too old when their turn came (stale), or not handed to a comet (failed, once for each comet)',
    labels: ['reason'],
  },
  imgo_job_apply_failures_total: {
    type: 'counter',
    of: 'job',
    help: 'Batches that could not be applied and come again',
  },
  imgo_job_store_behind_total: {
    type: 'counter',
    of: 'job',
    help: 'Times that the store had lost writes, so that the queue was sought back',
  },
  imgo_job_notifications_total: { type: 'counter', of: 'job', help: 'Notifications sent to comets' },
  imgo_job_frames_total: {
    type: 'counter',
    of: 'job',
    help: 'Frames of notifications to comets: made (sent), acknowledged, and not sent for too much was unacknowledged (backlog)',
    labels: ['state'],
  },
  imgo_job_resyncs_total: {
    type: 'counter',
    of: 'job',
    help: 'Times that a comet was marked to read again because it had not acknowledged notifications',
  },
  imgo_job_comets_expired_total: {
    type: 'counter',
    of: 'job',
    help: 'Sessions that were looked up and whose comet has no lease any more',
  },
  imgo_comet_connections: { type: 'gauge', of: 'comet', help: 'Open connections of clients', labels: WORKER },
  imgo_comet_sessions: {
    type: 'gauge',
    of: 'comet',
    help: 'Authenticated sessions, by dialect and transport',
    labels: [...WORKER, 'dialect', 'transport'],
  },
  imgo_comet_draining: {
    type: 'gauge',
    of: 'comet',
    help: '1 while its clients are being sent away',
    labels: WORKER,
  },
  imgo_comet_rooms: {
    type: 'gauge',
    of: 'comet',
    help: 'Rooms with members here; the broadcast log counts as one',
    labels: WORKER,
  },
  imgo_comet_members: { type: 'gauge', of: 'comet', help: 'Memberships of sessions in those rooms', labels: WORKER },
  imgo_comet_lagging_members: {
    type: 'gauge',
    of: 'comet',
    help: 'Of them, those whose socket is full and that are skipped until it has drained',
    labels: WORKER,
  },
  imgo_comet_ring_bytes: {
    type: 'gauge',
    of: 'comet',
    help: 'Memory of the rings that rooms are written from',
    labels: WORKER,
  },
  imgo_comet_slowest_sweep_seconds: {
    type: 'gauge',
    of: 'comet',
    help: 'The longest last sweep of any room over its members; above fanout.window the batches grow',
    labels: WORKER,
  },
  imgo_comet_resident_memory_bytes: {
    type: 'gauge',
    of: 'comet',
    help: 'Resident memory of the process that holds the connections',
    labels: WORKER,
  },
  imgo_comet_cpu_seconds_total: { type: 'counter', of: 'comet', help: 'CPU time of that process', labels: WORKER },
  imgo_comet_eventloop_delay_p99_seconds: {
    type: 'gauge',
    of: 'comet',
    help: 'How late its clockwork came, 99th percentile of the last 256 ticks',
    labels: WORKER,
  },
  imgo_comet_open_fds: {
    type: 'gauge',
    of: 'comet',
    help: 'Descriptors that the process which holds the connections has open',
    labels: WORKER,
  },
  imgo_comet_max_fds: { type: 'gauge', of: 'comet', help: 'Descriptors that it may have open', labels: WORKER },
  imgo_comet_max_connections: {
    type: 'gauge',
    of: 'comet',
    help: 'Connections that it takes at most, by limits.max_conns or its descriptors',
    labels: WORKER,
  },
  imgo_comet_lagging_sessions: {
    type: 'gauge',
    of: 'comet',
    help: 'Sessions whose sockets have taken nothing for a second',
    labels: WORKER,
  },
  imgo_comet_delivery_duration_seconds: {
    type: 'histogram',
    of: 'comet',
    help: 'From the acceptance of a message to a socket, by samples: one delivery in 64',
    labels: WORKER,
  },
  imgo_comet_accepted_total: { type: 'counter', of: 'comet', help: 'Connections accepted', labels: WORKER },
  imgo_comet_opened_total: { type: 'counter', of: 'comet', help: 'Sessions that authenticated', labels: WORKER },
  imgo_comet_deliveries_total: {
    type: 'counter',
    of: 'comet',
    help: 'Messages given to sockets: of user logs, of rooms, and ephemeral ones to users',
    labels: [...WORKER, 'to'],
  },
  imgo_comet_redelivered_total: {
    type: 'counter',
    of: 'comet',
    help: 'Of those of user logs: flagged as possibly sent before',
    labels: WORKER,
  },
  imgo_comet_writes_total: { type: 'counter', of: 'comet', help: 'Writes to sockets', labels: WORKER },
  imgo_comet_room_writes_total: { type: 'counter', of: 'comet', help: 'Of them: for rooms', labels: WORKER },
  imgo_comet_sent_bytes_total: { type: 'counter', of: 'comet', help: 'Bytes given to sockets', labels: WORKER },
  imgo_comet_room_sent_bytes_total: { type: 'counter', of: 'comet', help: 'Of them: for rooms', labels: WORKER },
  imgo_comet_received_bytes_total: { type: 'counter', of: 'comet', help: 'Bytes read from sockets', labels: WORKER },
  imgo_comet_frames_received_total: { type: 'counter', of: 'comet', help: 'Frames from clients', labels: WORKER },
  imgo_comet_heartbeats_total: { type: 'counter', of: 'comet', help: 'Of them: heartbeats', labels: WORKER },
  imgo_comet_acknowledgements_total: {
    type: 'counter',
    of: 'comet',
    help: 'Of them: acknowledgements',
    labels: WORKER,
  },
  imgo_comet_joins_total: { type: 'counter', of: 'comet', help: 'Joins of rooms', labels: WORKER },
  imgo_comet_holds_total: {
    type: 'counter',
    of: 'comet',
    help: 'Times that a socket was full, so that its session was held',
    labels: WORKER,
  },
  imgo_comet_notifications_total: { type: 'counter', of: 'comet', help: 'Notifications from jobs', labels: WORKER },
  imgo_comet_notified_again_total: {
    type: 'counter',
    of: 'comet',
    help: 'Of them: of what was there already',
    labels: [...WORKER, 'to'],
  },
  imgo_comet_gaps_total: {
    type: 'counter',
    of: 'comet',
    help: 'Gaps, one for each session: in its own log or for its lag (session), or in the log of a room (room)',
    labels: [...WORKER, 'in'],
  },
  imgo_comet_gaps_untold_total: {
    type: 'counter',
    of: 'comet',
    help: 'Of them: of clients that cannot be told, because their dialect has no word for it',
    labels: [...WORKER, 'in'],
  },
  imgo_comet_lag_gaps_total: {
    type: 'counter',
    of: 'comet',
    help: 'Of those of sessions: of members that lagged until the ring had moved on',
    labels: WORKER,
  },
  imgo_comet_filtered_total: {
    type: 'counter',
    of: 'comet',
    help: "Messages left out because goim's client does not accept their operation",
    labels: [...WORKER, 'to'],
  },
  imgo_comet_log_reads_total: {
    type: 'counter',
    of: 'comet',
    help: 'Reads of logs through a logic: sessions and rooms that catch up',
    labels: [...WORKER, 'of'],
  },
  imgo_comet_log_read_failures_total: {
    type: 'counter',
    of: 'comet',
    help: 'Of them: failed, and tried again',
    labels: [...WORKER, 'of'],
  },
  imgo_comet_reads_behind_total: {
    type: 'counter',
    of: 'comet',
    help: 'Reads that showed less than what had been notified already: the store lost writes, or lags',
    labels: WORKER,
  },
  imgo_comet_holes_total: {
    type: 'counter',
    of: 'comet',
    help: 'Notifications of rooms before which one was missing: read from the log',
    labels: WORKER,
  },
  imgo_comet_sweeps_total: {
    type: 'counter',
    of: 'comet',
    help: 'Sweeps of rooms over their members',
    labels: WORKER,
  },
  imgo_comet_fences_total: {
    type: 'counter',
    of: 'comet',
    help: 'Times that its lease was lost, so that it wrote nothing until it had joined again',
    labels: WORKER,
  },
  imgo_comet_resyncs_total: {
    type: 'counter',
    of: 'comet',
    help: 'Times that it read the heads of all it serves again',
    labels: WORKER,
  },
  imgo_comet_lag_disconnects_total: {
    type: 'counter',
    of: 'comet',
    help: 'Members of rooms disconnected for their lag (limits.lag.policy)',
    labels: WORKER,
  },
  imgo_comet_pins_evicted_total: {
    type: 'counter',
    of: 'comet',
    help: 'Sockets destroyed because they held too much memory of rings',
    labels: WORKER,
  },
  imgo_comet_recovered_evicted_total: {
    type: 'counter',
    of: 'comet',
    help: 'Histories, read for members that came back, given up for want of memory',
    labels: WORKER,
  },
  imgo_comet_closed_total: {
    type: 'counter',
    of: 'comet',
    help: 'Connections that the server closed, by reason',
    labels: [...WORKER, 'reason'],
  },
  imgo_comet_refused_total: {
    type: 'counter',
    of: 'comet',
    help: 'Connections, upgrades and requests of clients that were refused, by reason',
    labels: [...WORKER, 'reason'],
  },
  imgo_comet_dropped_total: {
    type: 'counter',
    of: 'comet',
    help: 'Messages that a session did not get, by reason; only ephemeral ones are ever dropped',
    labels: [...WORKER, 'reason'],
  },
  imgo_comet_ignored_total: {
    type: 'counter',
    of: 'comet',
    help: 'Frames of clients that mean nothing here, by reason',
    labels: [...WORKER, 'reason'],
  },
  imgo_comet_failures_total: {
    type: 'counter',
    of: 'comet',
    help: 'Calls to a logic that failed, and what the system refused, by what was tried',
    labels: [...WORKER, 'reason'],
  },
  imgo_comet_faults_total: {
    type: 'counter',
    of: 'comet',
    help: 'Connections that ended with a fault of the socket, by its kind',
    labels: [...WORKER, 'reason'],
  },
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof METRICS;
