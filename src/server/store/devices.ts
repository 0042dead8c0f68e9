// The cursors of a user's devices, and the rules for opening, acknowledging and closing them: pure, shared by every
// engine. Bounded: at most N named devices (the least recently seen is forgotten), and a short memory of the forgotten.

import { compareIds, isZeroId, type MessageId, maxId } from '../../protocol/ids.js';
import { fnv1a } from './bucket.js';
import { ANONYMOUS, type DeviceKey, type OpenCursor } from './buckets.js';
import { advanceCursor, minId } from './retention.js';

/** How many forgotten devices of a user are remembered one by one. */
const FORGOTTEN_KEPT = 16;

export interface DeviceMark {
  readonly device: DeviceKey;
  cursor: MessageId;
  /** Everything up to here may have been delivered. */
  sentTo: MessageId;
  clean: boolean;
  /** Wall ms. */
  lastSeen: number;
}

export interface ForgottenDevice {
  /** FNV-1a of the device's name. */
  readonly hash: number;
  readonly cursor: MessageId;
}

/** All devices of one log. */
export interface DeviceSet {
  devices: DeviceMark[];
  forgotten: readonly ForgottenDevice[];
  /** Where a device starts that was forgotten so long ago that even its hash is gone. */
  forgottenFloor: MessageId | undefined;
}

/** Nearly every log's: one for all. */
const NONE: readonly ForgottenDevice[] = Object.freeze([]);

export function emptyDevices(): DeviceSet {
  return { devices: [], forgotten: NONE, forgottenFloor: undefined };
}

export function findDevice(set: DeviceSet, device: DeviceKey): DeviceMark | undefined {
  for (const mark of set.devices) if (mark.device === device) return mark;
  return undefined;
}

/** What opening needs to know of the log and of the process. */
export interface OpenContext {
  readonly device: DeviceKey;
  /** The client's own position. */
  readonly given: MessageId | undefined;
  /** The durable head. */
  readonly head: MessageId;
  readonly trimmedTo: MessageId;
  readonly newDevice: 'kept' | 'head';
  readonly devicesPerUser: number;
  /** Wall ms. */
  readonly now: number;
  /** Another session of this device is open: what it was sent is not known yet. */
  readonly busy: boolean;
  /** Everything up to here may have been sent by a process that crashed without a mark (anonymous sessions). */
  readonly crashedTo: MessageId;
  /** Whether a device has an open session: those are forgotten last. */
  isOpen(device: DeviceKey): boolean;
}

export interface Opened extends OpenCursor {
  readonly mark: DeviceMark;
  /** The device was not known. */
  readonly added: boolean;
  /** How many devices were forgotten for it. */
  readonly forgotten: number;
}

/** Opens a device's cursor: says where reading starts and what may have been delivered before; marks it not clean. */
export function openDevice(set: DeviceSet, context: OpenContext): Opened {
  const { head, given, now } = context;
  let mark = findDevice(set, context.device);
  const added = mark === undefined;
  let forgotten = 0;
  let start: MessageId;
  let sentBefore: MessageId;
  if (mark === undefined) {
    const returned = takeForgotten(set, context.device);
    start = minId(given ?? returned ?? (context.newDevice === 'kept' ? context.trimmedTo : head), head);
    // Who brings a position, or was forgotten, had sessions of which nothing is known any more.
    const unknownPast = returned !== undefined || (given !== undefined && !isZeroId(given));
    sentBefore = unknownPast || context.busy ? head : start;
    if (context.device === ANONYMOUS) sentBefore = maxId(sentBefore, minId(context.crashedTo, head));
    mark = { device: context.device, cursor: start, sentTo: sentBefore, clean: false, lastSeen: now };
    // A list of its own for the first: pushing onto an empty one would reserve room for 17.
    if (set.devices.length === 0) set.devices = [mark];
    else set.devices.push(mark);
    forgotten = forgetExcess(set, context);
  } else {
    sentBefore = mark.clean && !context.busy ? maxId(mark.sentTo, mark.cursor) : head;
    if (context.device === ANONYMOUS) sentBefore = maxId(sentBefore, minId(context.crashedTo, head));
    sentBefore = minId(sentBefore, head);
    // A position the client states counts as acknowledged as far as it was sent.
    if (given !== undefined) mark.cursor = advanceCursor(mark.cursor, given, sentBefore);
    start = minId(given ?? mark.cursor, head);
    mark.sentTo = maxId(mark.sentTo, sentBefore);
    mark.clean = false;
    mark.lastSeen = now;
  }
  return { start, head, sentBefore, mark, added, forgotten };
}

/** Moves a device's cursor. True: it moved. */
export function acknowledge(mark: DeviceMark, upTo: MessageId, head: MessageId): boolean {
  const cursor = advanceCursor(mark.cursor, upTo, head);
  if (compareIds(cursor, mark.cursor) === 0) return false;
  mark.cursor = cursor;
  mark.sentTo = maxId(mark.sentTo, cursor);
  return true;
}

/**
 * A session of the device ended. `busy`: another one is open. A session that cannot say how far it got was sent
 * everything, so that a later clean end of another session does not hide it.
 */
export function closeDevice(
  mark: DeviceMark,
  end: { sentTo: MessageId; clean: boolean; head: MessageId; busy: boolean; now: number },
): void {
  mark.sentTo = maxId(mark.sentTo, end.clean ? minId(end.sentTo, end.head) : end.head);
  mark.clean = end.clean && !end.busy;
  mark.lastSeen = end.now;
}

function forgetExcess(set: DeviceSet, context: OpenContext): number {
  let forgotten = 0;
  for (;;) {
    const named = set.devices.filter((mark) => mark.device !== ANONYMOUS);
    if (named.length <= Math.max(1, context.devicesPerUser)) return forgotten;
    const others = named.filter((mark) => mark.device !== context.device);
    const idle = others.filter((mark) => !context.isOpen(mark.device));
    const oldest = (idle.length > 0 ? idle : others).reduce((a, b) => (b.lastSeen < a.lastSeen ? b : a));
    set.devices.splice(set.devices.indexOf(oldest), 1);
    const known = [...set.forgotten, { hash: fnv1a(oldest.device), cursor: oldest.cursor }];
    forgotten += 1;
    const gone = known.length > FORGOTTEN_KEPT ? known.shift() : undefined;
    set.forgotten = known;
    if (gone !== undefined) {
      set.forgottenFloor = set.forgottenFloor === undefined ? gone.cursor : minId(set.forgottenFloor, gone.cursor);
    }
  }
}

function takeForgotten(set: DeviceSet, device: DeviceKey): MessageId | undefined {
  if (device === ANONYMOUS) return undefined;
  const hash = fnv1a(device);
  const at = set.forgotten.findIndex((one) => one.hash === hash);
  if (at < 0) return set.forgottenFloor;
  const found = set.forgotten[at];
  set.forgotten = set.forgotten.filter((one) => one !== found);
  return found?.cursor;
}
