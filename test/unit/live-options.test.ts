// What a running server takes over of changed settings is what it says, and ends as if it had been started with them.

import { describe, expect, test } from 'vitest';
import { takeOver } from '../../src/server/comet/options.js';
import { type LoadedConfig, loadConfig, settingKeys } from '../../src/server/config-load.js';
import { LiveOptions } from '../../src/server/live-options.js';

/** Another value than the default of settings that are taken over. */
const LOGIC = {
  'auth.token_ttl': '1d',
  'auth.weak_tokens': 'true',
  'limits.payload': '1KiB',
  'limits.sessions_per_user': '2',
  'limits.on_too_many': 'reject',
  'rooms.join': 'open',
  'legacy.default_room': '7',
};
const COMET = {
  'listen.origins': ['https://a.example'],
  'limits.handshake': '1s',
  'limits.idle': '1m',
  'limits.rooms_per_session': '3',
  'limits.inbound': '9/s',
  'delivery.legacy_ack': 'heartbeat',
};
/** Some of those that are not. */
const OTHERS = { 'limits.frame': '1KiB', 'delivery.ttl': '1h', 'rooms.keep.for': '2h', 'fanout.window': '1s' };

const load = (values: Readonly<Record<string, unknown>>): LoadedConfig =>
  loadConfig({
    env: {},
    folder: '/',
    flags: Object.entries(values).map(([key, value]) => ({ key, value, where: '--set' })),
  });
const liveOf = (values: Readonly<Record<string, unknown>>, processes = 1): LiveOptions =>
  new LiveOptions(load(values).config, true, processes);
const seen = ({ logic, comet, origins }: LiveOptions): string => JSON.stringify({ logic, comet, origins });

describe('settings that are read again', () => {
  test('are all settings that exist', () => {
    for (const key of Object.keys({ ...LOGIC, ...COMET, ...OTHERS })) expect([...settingKeys().keys()]).toContain(key);
  });

  test.each(Object.entries({ ...LOGIC, ...COMET }))('%s is taken over', (key, value) => {
    const live = liveOf({});
    const before = seen(live);
    expect(live.reload(load({ [key]: value }).config, [key])).toEqual({ taken: [key], waiting: [] });
    expect(seen(live)).toBe(seen(liveOf({ [key]: value })));
    expect(seen(live)).not.toBe(before);
    live.reload(load({}).config, [key]);
    expect(seen(live)).toBe(before);
  });

  test.each(Object.entries(OTHERS))('%s waits for the next start', (key, value) => {
    const live = liveOf({});
    const before = seen(live);
    expect(live.reload(load({ [key]: value }).config, [key])).toEqual({ taken: [], waiting: [key] });
    expect(seen(live)).toBe(before);
  });

  test('are handed on to comets in processes of their own, which end as if they had been started with them', () => {
    const live = liveOf({}, 2);
    const there = structuredClone(live.comet);
    const keys = Object.keys(COMET);
    const taken = live.reload(load(COMET).config, keys, (told) => takeOver(there, structuredClone(told)));
    expect(taken).toEqual({ taken: keys, waiting: [] });
    expect(there).toEqual(liveOf(COMET, 2).comet);
  });
});
