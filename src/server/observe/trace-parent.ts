// W3C trace context: who calls, and whether that is traced. https://www.w3.org/TR/trace-context/

/** The caller's span. */
export interface TraceParent {
  /** 32 and 16 hex digits. */
  readonly traceId: string;
  readonly spanId: string;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Of a request's header; undefined: there is none, it is not one, or the caller does not sample it. */
export function traceParent(header: string | readonly string[] | undefined): TraceParent | undefined {
  if (typeof header !== 'string' || header.length > 256) return undefined;
  const [, version = 'ff', traceId = '', spanId = '', flags = '00', more] = TRACEPARENT.exec(header.trim()) ?? [];
  // Version 0 ends there; later ones may go on.
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId) || (Number.parseInt(flags, 16) & 1) === 0) return undefined;
  return { traceId, spanId };
}
