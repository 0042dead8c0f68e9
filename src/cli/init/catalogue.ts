// The templates that there are: names, what each is for, and what to do once it is written. What they hold is in templates/.

/** One template. */
export interface Template {
  readonly name: string;
  readonly summary: string;
  /** Folders of templates/ whose files it consists of. */
  readonly from: readonly string[];
  /** What to do next; DIR stands for the folder that was written. */
  readonly next: readonly string[];
}

const IMAGE = 'image';

/** In the order in which they are listed. */
export const TEMPLATES: readonly Template[] = [
  {
    name: 'config',
    summary: 'imgo.toml with every setting, its default and what it does',
    from: ['config'],
    next: ['take the # from what you change', 'imgo config check --config DIR/imgo.toml'],
  },
  {
    name: 'systemd',
    summary: 'hardened units for one process, and for roles apart, with limits and credentials',
    from: ['systemd'],
    next: ['read DIR/README.md: keys, where files go, what to start', 'systemd-analyze verify DIR/imgo.service'],
  },
  {
    name: 'proxy',
    summary: 'nginx, Caddy and HAProxy in front: TLS, WebSocket, TCP and the HTTP API',
    from: ['proxy'],
    next: ['read DIR/README.md: choose one of the three', 'put your names and certificates into it'],
  },
  {
    name: 'compose',
    summary: 'one imgo with Kafka and Redis, in containers',
    from: ['compose', IMAGE],
    next: ['read DIR/README.md: pack the image, make the keys', 'docker compose up --build --detach, in DIR'],
  },
  {
    name: 'compose-cluster',
    summary: '2 logics, 2 jobs and 3 comets behind HAProxy, with Kafka and Redis, in containers',
    from: ['compose-cluster', IMAGE],
    next: ['read DIR/README.md: pack the image, make the keys', 'docker compose up --build --detach, in DIR'],
  },
  {
    name: 'kubernetes',
    summary: 'roles apart on Kubernetes: drained, scaled by connections, fenced in by network policies',
    from: ['kubernetes', IMAGE],
    next: [
      'read DIR/README.md: push the image, make the secrets',
      'put your Kafka and Redis into DIR/logic.toml and DIR/job.toml',
      'kubectl apply --kustomize DIR',
    ],
  },
  {
    name: 'monitoring',
    summary: 'a Prometheus that scrapes every node, alert rules, a Grafana dashboard',
    from: ['monitoring'],
    next: ['read DIR/README.md: the key, your nodes', 'promtool check config DIR/prometheus.yml'],
  },
  {
    name: 'from-imgo',
    summary: "imgo's clients and callers on their own ports: port map, checklist, way back",
    from: ['from-imgo'],
    next: ['read DIR/README.md', 'imgo config check --config DIR/imgo.toml'],
  },
  {
    name: 'from-goim',
    summary: "goim's clients and callers on their own ports: port map, checklist, way back",
    from: ['from-goim'],
    next: ['read DIR/README.md', 'imgo config check --config DIR/imgo.toml'],
  },
];
