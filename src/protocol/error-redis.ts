// Rows of the error table that Redis is the reason of: a part of error-table.ts, in a file of its own for its length.

import { Exit, retry, row } from './error-row.js';

const { IMPOSSIBLE, REFUSED, UNREACHABLE, USAGE } = Exit;

/** What Redis may be the reason of. */
export const REDIS = {
  redis_unreachable: retry(
    503,
    UNREACHABLE,
    'Redis at {address} does not answer ({detail}).',
    'The store and the router are in Redis, and it cannot be reached. Nothing that was accepted is touched.',
    ['see whether it runs and can be reached from here', 'one machine needs no Redis: leave redis.url unset'],
  ),
  redis_refused: row(
    503,
    REFUSED,
    'Redis at {address} refuses this server: {detail}.',
    'The user or the password is wrong, or that user may not do what is needed.',
    ['redis.url carries user and password', 'the user needs +@all -@dangerous +info on its keys'],
  ),
  redis_not_copied: retry(
    503,
    UNREACHABLE,
    'It is done, but no replica of Redis has confirmed it in time.',
    'What was revoked or kicked is out. Should the primary die before a replica has been told, it may come back.',
    ['the same request again asks again', 'INFO replication at the primary shows how far behind its replicas are'],
  ),
  redis_tls: row(
    503,
    USAGE,
    'Redis at {address} and this server do not agree on TLS: {detail}.',
    'One side speaks TLS and the other does not, or the certificate is not trusted.',
    [
      'rediss:// for a server with TLS, redis:// for one without',
      'sentinels:// and clusters:// are the same with TLS',
      'NODE_EXTRA_CA_CERTS=FILE trusts an authority of your own',
    ],
  ),
  redis_url: row(
    500,
    USAGE,
    'redis.url is not an address of Redis: {detail}.',
    'An address says how Redis is run and where it is.',
    [
      'redis://HOST:PORT, or rediss:// with TLS',
      'sentinel://HOST:PORT,HOST:PORT/NAME with the name of the primary',
      'cluster://HOST:PORT,HOST:PORT',
    ],
  ),
  redis_unfit: row(
    503,
    IMPOSSIBLE,
    'Redis at {address} cannot be used: {detail}.',
    'What Redis is told to keep it has to keep: it must be new enough, evict nothing, and write down what it has.',
    ['Redis 6.2 or newer', 'maxmemory-policy noeviction', 'appendonly yes'],
  ),
} as const;
