// The kinds of values that a setting can have. Each reads what TOML gives (numbers, booleans, arrays) and what an
// environment variable or a flag gives (text) alike, and prints its value the way it is written.

import { z } from 'zod';
import { formatDuration, formatRate, formatSize, parseDuration, parseRate, parseSize } from './units.js';

/** What is known of a setting beside its value. */
export interface SettingMeta {
  /** In the spelling of imgo.toml. */
  readonly initial: string | number | boolean | readonly string[];
  /** What the value is: `duration`, `size`, `port | host:port | off`, … */
  readonly unit: string;
  readonly describe: string;
  /** The value as it is written in imgo.toml. */
  readonly print: (value: never) => string;
}

/** A leaf of the schema. */
export type Setting<T> = z.ZodType<T> & { readonly setting: SettingMeta };

type Read<T> = (value: unknown) => T | undefined;

interface Kind<T> {
  readonly unit: string;
  /** Completes the sentence "KEY …". */
  readonly wrong: string;
  readonly read: Read<T>;
  readonly print: (value: T) => string;
}

function setting<T>(kind: Kind<T>, initial: SettingMeta['initial'], describe: string): Setting<T> {
  const read = z.unknown().transform((value, context): T => {
    const parsed = kind.read(value);
    if (parsed !== undefined) return parsed;
    context.addIssue({ code: 'custom', message: kind.wrong });
    return z.NEVER;
  });
  const leaf = read.prefault(initial);
  const meta: SettingMeta = { initial, unit: kind.unit, describe, print: kind.print };
  return Object.assign(leaf as unknown as z.ZodType<T>, { setting: meta });
}

const quoted = (text: string): string => JSON.stringify(text);

/** Milliseconds. */
export function duration(initial: string, describe: string, min = 0): Setting<number> {
  const read: Read<number> = (value) => {
    const ms = typeof value === 'string' ? parseDuration(value) : value === 0 ? 0 : undefined;
    return ms !== undefined && ms >= min ? ms : undefined;
  };
  const least = min === 0 ? '' : `, at least ${formatDuration(min)}`;
  const wrong = `must be a duration such as "90s", "15m" or "7d"${least}`;
  return setting({ unit: 'duration', wrong, read, print: (ms) => quoted(formatDuration(ms)) }, initial, describe);
}

/** Bytes. */
export function size(initial: string, describe: string, min = 0, max = Number.MAX_SAFE_INTEGER): Setting<number> {
  const read: Read<number> = (value) => {
    const bytes = typeof value === 'string' || typeof value === 'number' ? parseSize(String(value)) : undefined;
    return bytes !== undefined && bytes >= min && bytes <= max ? bytes : undefined;
  };
  const range = max < Number.MAX_SAFE_INTEGER ? `, from ${formatSize(min)} to ${formatSize(max)}` : '';
  const wrong = `must be a size such as "64KiB" or "1MiB"${range}`;
  return setting({ unit: 'size', wrong, read, print: (bytes) => quoted(formatSize(bytes)) }, initial, describe);
}

/** Events a second. */
export function rate(initial: string | number, describe: string): Setting<number> {
  const read: Read<number> = (value) => (typeof value === 'string' ? parseRate(value) : value === 0 ? 0 : undefined);
  const wrong = 'must be a rate such as "50/s", or 0';
  return setting({ unit: 'rate', wrong, read, print: (perSecond) => quoted(formatRate(perSecond)) }, initial, describe);
}

/** A part of a whole, from 0 to 1; written in percent. `none`: it may be 0%. */
export function share(initial: string, describe: string, none = false): Setting<number> {
  const read: Read<number> = (value) => {
    const match = typeof value === 'string' ? /^(\d{1,3}(?:\.\d{1,3})?) ?%$/.exec(value) : null;
    const percent = Number(match?.[1]);
    return (none ? percent >= 0 : percent > 0) && percent <= 100 ? percent / 100 : undefined;
  };
  const print = (part: number) => quoted(`${Number((part * 100).toFixed(3))}%`);
  return setting({ unit: 'percentage', wrong: 'must be a percentage such as "90%"', read, print }, initial, describe);
}

/** A whole number. */
export function count(initial: number, describe: string, min = 0, max = 1_000_000_000): Setting<number> {
  const read: Read<number> = (value) => {
    const given = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value;
    return Number.isInteger(given) && Number(given) >= min && Number(given) <= max ? Number(given) : undefined;
  };
  const wrong = `must be a whole number from ${min} to ${max}`;
  return setting({ unit: 'number', wrong, read, print: String }, initial, describe);
}

/** A whole number, or "auto". */
export function countOrAuto(describe: string, min = 1, preset: number | 'auto' = 'auto'): Setting<number | 'auto'> {
  const read: Read<number | 'auto'> = (value) => {
    if (value === 'auto') return 'auto';
    const given = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value;
    return Number.isInteger(given) && Number(given) >= min ? Number(given) : undefined;
  };
  const print = (value: number | 'auto') => (value === 'auto' ? quoted(value) : String(value));
  return setting(
    { unit: 'number | "auto"', wrong: `must be "auto" or a whole number from ${min} on`, read, print },
    preset,
    describe,
  );
}

/** true or false. */
export function toggle(initial: boolean, describe: string): Setting<boolean> {
  const read: Read<boolean> = (value) => {
    if (typeof value === 'boolean') return value;
    return value === 'true' ? true : value === 'false' ? false : undefined;
  };
  return setting({ unit: 'true | false', wrong: 'must be true or false', read, print: String }, initial, describe);
}

/** One of a few words. */
export function choice<const W extends string>(words: readonly W[], initial: W, describe: string): Setting<W> {
  const unit = words.map(quoted).join(' | ');
  const read: Read<W> = (value) => words.find((word) => word === value);
  return setting(
    { unit, wrong: `must be one of ${words.map(quoted).join(', ')}`, read, print: quoted },
    initial,
    describe,
  );
}

/** A text that is not empty, and at most 4096 characters. */
export function text(
  initial: string,
  describe: string,
  unit = 'text',
  check = (_value: string) => true,
): Setting<string> {
  const read: Read<string> = (value) => {
    const given = typeof value === 'number' ? String(value) : value;
    return typeof given === 'string' && given !== '' && given.length <= 4096 && check(given) ? given : undefined;
  };
  return setting({ unit, wrong: `must be a ${unit}`, read, print: quoted }, initial, describe);
}

/** A text of at most 4096 characters; "" is none. */
export function optionalText(describe: string, unit: string, check = (_value: string) => true): Setting<string> {
  const read: Read<string> = (value) =>
    typeof value === 'string' && value.length <= 4096 && (value === '' || check(value)) ? value : undefined;
  return setting({ unit, wrong: `must be a ${unit}, or ""`, read, print: quoted }, '', describe);
}

/** Texts; in one variable or flag, separated by commas. */
export function list(
  initial: readonly string[],
  describe: string,
  unit: string,
  check: (item: string) => boolean,
): Setting<readonly string[]> {
  const read: Read<readonly string[]> = (value) => {
    const items =
      typeof value === 'string'
        ? value
            .split(',')
            .map((item) => item.trim())
            .filter(Boolean)
        : value;
    if (!Array.isArray(items) || items.length > 1_000) return undefined;
    return items.every((item): item is string => typeof item === 'string' && check(item)) ? items : undefined;
  };
  const print = (items: readonly string[]) => `[${items.map(quoted).join(', ')}]`;
  return setting({ unit: `list of ${unit}`, wrong: `must be a list of ${unit}`, read, print }, initial, describe);
}

/** Where a listener listens; the host is `listen.host` where none is given. */
export interface ListenAddress {
  readonly host: string | undefined;
  /** 0: any free one. */
  readonly port: number;
}

const HOST_PORT = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/;

/** `8080`, `10.0.0.1:8080`, `[::1]:8080` or `off`. */
export function listener(initial: number | 'off', describe: string): Setting<ListenAddress | 'off'> {
  const read: Read<ListenAddress | 'off'> = (value) => {
    if (value === 'off') return 'off';
    const given = String(value);
    const match = HOST_PORT.exec(given);
    const port = Number(match?.[3] ?? (/^\d{1,5}$/.test(given) ? given : Number.NaN));
    return Number.isInteger(port) && port <= 65_535 ? { host: match?.[1] ?? match?.[2], port } : undefined;
  };
  const print = (value: ListenAddress | 'off') => {
    if (value === 'off') return quoted('off');
    if (value.host === undefined) return String(value.port);
    return quoted(value.host.includes(':') ? `[${value.host}]:${value.port}` : `${value.host}:${value.port}`);
  };
  return setting(
    { unit: 'port | "host:port" | "off"', wrong: 'must be a port from 0 to 65535, "host:port" or "off"', read, print },
    initial,
    describe,
  );
}

/** Listeners by name; true is "tcp", false is none. */
export function listenersOf<const W extends string>(words: readonly W[], describe: string): Setting<readonly W[]> {
  const read: Read<readonly W[]> = (value) => {
    const given = typeof value === 'string' ? value.split(',').map((item) => item.trim()) : value;
    if (given === false || String(given) === 'false') return [];
    if (given === true || String(given) === 'true') return words.slice(0, 1);
    if (!Array.isArray(given)) return undefined;
    const found = words.filter((word) => given.includes(word));
    return found.length === given.length ? found : undefined;
  };
  const print = (items: readonly W[]) => `[${items.map(quoted).join(', ')}]`;
  const names = words.map(quoted).join(', ');
  return setting(
    { unit: `true | false | list of ${names}`, wrong: `must be true, false or a list of ${names}`, read, print },
    false,
    describe,
  );
}

/** Between two durations, in ms. */
export interface Span {
  readonly minMs: number;
  readonly maxMs: number;
}

/** Two durations, the shorter first. */
export function span(initial: readonly [string, string], describe: string): Setting<Span> {
  const read: Read<Span> = (value) => {
    const given = typeof value === 'string' ? value.split(',').map((part) => part.trim()) : value;
    if (!Array.isArray(given) || given.length !== 2) return undefined;
    const [minMs, maxMs] = given.map((one) => parseDuration(String(one)));
    return minMs !== undefined && maxMs !== undefined && minMs <= maxMs ? { minMs, maxMs } : undefined;
  };
  const print = ({ minMs, maxMs }: Span) => `[${quoted(formatDuration(minMs))}, ${quoted(formatDuration(maxMs))}]`;
  const wrong = 'must be two durations, the shorter first, such as ["1s", "30s"]';
  return setting({ unit: 'two durations', wrong, read, print }, initial, describe);
}
