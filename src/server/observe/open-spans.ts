// Has the traces of a process sent as spans, where a receiver is named. What makes and sends them is loaded then, and not before.

import type { Clock } from '../clock.js';
import type { OtlpSettings } from './otlp-settings.js';
import type { TraceStore } from './traces.js';

export interface SpanParts {
  readonly clock: Clock;
  readonly version: string;
  readonly warn: (details: object, message: string) => void;
}

/** Resolves with what sends the rest and ends it; undefined: there is no receiver. */
export async function openSpans(
  traces: TraceStore,
  settings: OtlpSettings | undefined,
  { clock, version, warn }: SpanParts,
): Promise<(() => Promise<void>) | undefined> {
  if (settings === undefined) return undefined;
  const [{ SpanExporter }, { Spans }] = await Promise.all([import('./otlp.js'), import('./spans.js')]);
  const { node } = traces;
  const exporter = new SpanExporter({ clock, settings, node, version, warn });
  const spans = new Spans(node, clock, exporter);
  traces.sink = spans;
  return () => {
    spans.stop();
    return exporter.stop();
  };
}
