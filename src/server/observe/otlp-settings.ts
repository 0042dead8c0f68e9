// Where spans go, and as whose: the setting observe.otlp, else the variables that OpenTelemetry gives to everybody. None of them:
// nothing is traced and nothing of it is loaded.
// Variables: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/

type Environment = Readonly<Record<string, string | undefined>>;

/** How spans are sent: plain values, so that workers can be told. */
export interface OtlpSettings {
  /** With its path. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** Of the process: `service.name` and what else was given. */
  readonly resource: Readonly<Record<string, string>>;
}

const TIMEOUT_MS = 10_000;
const TRACES_PATH = 'v1/traces';

/** Undefined: nobody named a receiver, or it was switched off. `endpoint`: of the setting. */
export function otlpSettings(endpoint: string | undefined, env: Environment): OtlpSettings | undefined {
  const off = env['OTEL_SDK_DISABLED']?.toLowerCase() === 'true' || env['OTEL_TRACES_EXPORTER'] === 'none';
  const base = endpoint ?? (env['OTEL_EXPORTER_OTLP_ENDPOINT'] || undefined);
  // The variable for traces alone is taken as it is; to the one for all signals the path is added.
  const exact = endpoint === undefined ? env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || undefined : undefined;
  const url = exact ?? (base === undefined ? undefined : `${base.replace(/\/+$/, '')}/${TRACES_PATH}`);
  if (url === undefined || !URL.canParse(url) || (off && endpoint === undefined)) return undefined;
  const timeout = Number(env['OTEL_EXPORTER_OTLP_TRACES_TIMEOUT'] || env['OTEL_EXPORTER_OTLP_TIMEOUT']);
  return {
    url,
    headers: {
      ...pairs(env['OTEL_EXPORTER_OTLP_HEADERS']),
      ...pairs(env['OTEL_EXPORTER_OTLP_TRACES_HEADERS']),
    },
    timeoutMs: timeout > 0 ? timeout : TIMEOUT_MS,
    resource: {
      'service.name': 'imgo',
      ...pairs(env['OTEL_RESOURCE_ATTRIBUTES']),
      ...(env['OTEL_SERVICE_NAME'] ? { 'service.name': env['OTEL_SERVICE_NAME'] } : {}),
    },
  };
}

/** `key=value,key=value`, percent-encoded. */
function pairs(text: string | undefined): Record<string, string> {
  const found: Record<string, string> = {};
  for (const pair of (text ?? '').split(',')) {
    const at = pair.indexOf('=');
    if (at <= 0) continue;
    try {
      found[decodeURIComponent(pair.slice(0, at).trim())] = decodeURIComponent(pair.slice(at + 1).trim());
    } catch {
      // One that cannot be decoded is none.
    }
  }
  return found;
}
