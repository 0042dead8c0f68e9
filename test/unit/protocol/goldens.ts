// Every frame of every dialect, spelled by hand as hex from the wire page: packLen, headerLen, ver, op, seq | body.
// Nothing here was printed by the encoder under test.

import { Op } from '../../../src/protocol/frame.js';
import { hex } from './hex.js';

/** A frame and what is to be read from it. */
export interface Golden {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly ver: number;
  readonly op: number;
  readonly seq: number;
  readonly headerLen: number;
  readonly body: Uint8Array;
}

function golden(name: string, ver: number, op: number, seq: number, head: string, body = '', extension = ''): Golden {
  return {
    name,
    bytes: hex(head, extension, body),
    ver,
    op,
    seq,
    headerLen: 16 + hex(extension).length,
    body: hex(body),
  };
}

/** `TOKEN` */
export const TOKEN = '544f4b454e';
/** `{"test":1}` */
export const TEST_1 = '7b 22 74657374 22 3a 31 7d';
/** `{"mid":123,"key":"","room_id":"live://1000","platform":"web","accepts":[1000,1001]}` */
export const GOIM_AUTH = `7b226d6964223a3132332c226b657922 3a22222c22726f6f6d5f6964223a226c 6976653a2f2f31303030222c22706c61
  74666f726d223a22776562222c226163 6365707473223a5b313030302c313030 315d7d`;
/** `{"token":"TOKEN","device":"phone","cursor":"1-41","rooms":{"live://1000":"1-7","r":null},"all":"1-9"}` */
export const NATIVE_AUTH = `7b22746f6b656e223a22544f4b454e22 2c22646576696365223a2270686f6e65 222c22637572736f72223a22312d3431
  222c22726f6f6d73223a7b226c697665 3a2f2f31303030223a22312d37222c22 72223a6e756c6c7d2c22616c6c223a22 312d39227d`;
/** `{"session":"s1","user":"1","device":"phone","head":"1-42","heartbeatMs":60000,"rooms":{"r":{"head":"1-9","recovered":false}}}` */
export const NATIVE_AUTH_REPLY = `7b2273657373696f6e223a227331222c 2275736572223a2231222c2264657669
  6365223a2270686f6e65222c22686561 64223a22312d3432222c226865617274 626561744d73223a36303030302c2272
  6f6f6d73223a7b2272223a7b22686561 64223a22312d39222c227265636f7665 726564223a66616c73657d7d7d`;
/** `{"log":"user:1","after":"1-2","upTo":"1-9"}` */
export const GAP = '7b226c6f67223a22757365723a31222c 226166746572223a22312d32222c2275 70546f223a22312d39227d';
/** `{"room":"r","since":"1-7"}` */
export const JOIN = '7b22726f6f6d223a2272222c2273696e 6365223a22312d37227d';
/** `{"room":"r","head":"1-9","recovered":true}` */
export const JOIN_REPLY = '7b22726f6f6d223a2272222c22686561 64223a22312d39222c227265636f7665 726564223a747275657d';
/** `{"room":"r"}` */
export const ROOM = '7b22726f6f6d223a2272227d';
/** `{"code":4103,"reason":"closed by an administrator","reconnect":false}` */
export const KICKED = `7b22636f6465223a343130332c227265 61736f6e223a22636c6f736564206279 20616e2061646d696e6973747261746f
  72222c227265636f6e6e656374223a66 616c73657d`;
/** `{"count":2}` */
export const COUNT_2 = '7b22636f756e74223a327d';
/** `{"test":"come on"}` */
export const COME_ON = '7b2274657374223a22636f6d65206f6e 227d';
/** `live://1000` */
export const LIVE_1000 = '6c6976653a2f2f31303030';
/** `1000,1001` */
export const OPERATIONS = '313030302c31303031';

/** imgo, and goim before v2, on TCP. */
export const IMGO: readonly Golden[] = [
  golden('imgo auth', 1, Op.AUTH, 1, '00000015 0010 0001 00000007 00000001', TOKEN),
  golden('imgo auth reply', 1, Op.AUTH_REPLY, 1, '00000010 0010 0001 00000008 00000001'),
  golden('heartbeat', 1, Op.HEARTBEAT, 2, '00000010 0010 0001 00000002 00000002'),
  golden('heartbeat with a token', 1, Op.HEARTBEAT, 2, '00000015 0010 0001 00000002 00000002', TOKEN),
  golden('heartbeat reply', 1, Op.HEARTBEAT_REPLY, 2, '00000010 0010 0001 00000003 00000002'),
  golden('heartbeat, largest seq', 1, Op.HEARTBEAT, 0x7fffffff, '00000010 0010 0001 00000002 7fffffff'),
  golden('heartbeat, negative seq', 1, Op.HEARTBEAT, -1, '00000010 0010 0001 00000002 ffffffff'),
  golden('imgo push', 0, Op.PUSH, 0, '0000001a 0010 0000 00000005 00000000', TEST_1),
  golden('imgo push, empty', 0, Op.PUSH, 0, '00000010 0010 0000 00000005 00000000'),
  golden('send', 1, Op.SEND, 3, '0000001a 0010 0001 00000004 00000003', TEST_1),
  golden('disconnect notice', 1, Op.DISCONNECT_NOTICE, 0, '00000010 0010 0001 00000006 00000000'),
  golden('test', 1, Op.TEST, 4, '00000010 0010 0001 000000fe 00000004'),
  golden('test reply', 1, Op.TEST_REPLY, 4, '00000022 0010 0001 000000ff 00000004', COME_ON),
];

/** goim v2 on TCP; on WebSocket the same frames, one a binary message. */
export const GOIM: readonly Golden[] = [
  golden('goim auth', 1, Op.AUTH, 1, '00000063 0010 0001 00000007 00000001', GOIM_AUTH),
  golden('goim auth reply', 1, Op.AUTH_REPLY, 1, '00000010 0010 0001 00000008 00000001'),
  golden('goim heartbeat reply', 1, Op.HEARTBEAT_REPLY, 2, '00000014 0010 0001 00000003 00000002', '00000007'),
  golden('goim send reply', 1, Op.SEND_REPLY, 3, '00000010 0010 0001 00000005 00000003'),
  golden('goim push', 1, 1000, 0, '0000001a 0010 0001 000003e8 00000000', TEST_1),
  golden(
    'goim batch of two',
    1,
    Op.RAW,
    0,
    '00000044 0010 0001 00000009 00000000',
    `0000001a 0010 0001 000003e8 00000000 ${TEST_1} 0000001a 0010 0001 000003e9 00000000 ${TEST_1}`,
  ),
  golden('change room', 1, Op.CHANGE_ROOM, 5, '0000001b 0010 0001 0000000c 00000005', LIVE_1000),
  golden('change room reply', 1, Op.CHANGE_ROOM_REPLY, 5, '00000010 0010 0001 0000000d 00000005'),
  golden('subscribe', 1, Op.SUBSCRIBE, 6, '00000019 0010 0001 0000000e 00000006', OPERATIONS),
  golden('subscribe reply', 1, Op.SUBSCRIBE_REPLY, 6, '00000010 0010 0001 0000000f 00000006'),
  golden('unsubscribe', 1, Op.UNSUBSCRIBE, 7, '00000019 0010 0001 00000010 00000007', OPERATIONS),
  golden('unsubscribe reply', 1, Op.UNSUBSCRIBE_REPLY, 7, '00000010 0010 0001 00000011 00000007'),
];

/** The native dialect. The extension is epoch, n, flags, topicLen | topic. */
export const NATIVE: readonly Golden[] = [
  golden('native auth', 2, Op.AUTH, 1, '00000075 0010 0002 00000007 00000001', NATIVE_AUTH),
  golden('native auth reply', 2, Op.AUTH_REPLY, 1, '0000008d 0010 0002 00000008 00000001', NATIVE_AUTH_REPLY),
  golden(
    'native push of the own log',
    2,
    Op.PUSH,
    42,
    '0000002a 0020 0002 00000005 0000002a',
    TEST_1,
    '00000001 000000000000002a 0000 0000',
  ),
  golden(
    'native push, redelivered, large id',
    2,
    Op.PUSH,
    -2,
    '0000002a 0020 0002 00000005 fffffffe',
    TEST_1,
    'ffffffff 001ffffffffffffe 0001 0000',
  ),
  golden(
    'native push of a room, ephemeral',
    2,
    Op.PUSH,
    0,
    '0000003a 0030 0002 00000005 00000000',
    TEST_1,
    '00000000 0000000000000000 0002 0010 726f6f6d3a6c6976653a2f2f31303030',
  ),
  golden(
    'native push of all, empty',
    2,
    Op.PUSH,
    7,
    '00000023 0023 0002 00000005 00000007',
    '',
    '00000001 0000000000000007 0000 0003 616c6c',
  ),
  golden('ack', 2, Op.ACK, 0, '0000001c 0010 0002 00000100 00000000', '00000001 000000000000002a'),
  golden('gap', 2, Op.GAP, 0, '0000003b 0010 0002 00000101 00000000', GAP),
  golden('join', 2, Op.JOIN, 3, '0000002a 0010 0002 00000102 00000003', JOIN),
  golden('join reply', 2, Op.JOIN_REPLY, 3, '0000003a 0010 0002 00000103 00000003', JOIN_REPLY),
  golden('leave', 2, Op.LEAVE, 4, '0000001c 0010 0002 00000104 00000004', ROOM),
  golden('leave reply', 2, Op.LEAVE_REPLY, 4, '0000001c 0010 0002 00000105 00000004', ROOM),
  golden('disconnect', 2, Op.DISCONNECT, 0, '00000055 0010 0002 00000106 00000000', KICKED),
  golden('presence', 2, Op.PRESENCE, 5, '0000001c 0010 0002 00000107 00000005', ROOM),
  golden('presence reply', 2, Op.PRESENCE_REPLY, 5, '0000001b 0010 0002 00000108 00000005', COUNT_2),
];

/** Whole WebSocket messages from the server: FIN and opcode, length, payload. */
export const WS = {
  /** `[{"ver":1,"op":8,"seq":1,"body":{}}]` */
  imgoAuthReply: hex('81 24 5b7b22766572223a312c226f70223a38 2c22736571223a312c22626f6479223a 7b7d7d5d'),
  /** `[{"ver":1,"op":3,"seq":2,"body":{}}]` */
  imgoHeartbeatReply: hex('81 24 5b7b22766572223a312c226f70223a33 2c22736571223a322c22626f6479223a 7b7d7d5d'),
  /** `[{"ver":0,"op":5,"seq":0,"body":{"test":1}}]` */
  imgoPush: hex('81 2c 5b7b22766572223a302c226f70223a35 2c22736571223a302c22626f6479223a 7b2274657374223a317d7d5d'),
  goim1AuthReply: hex('82 10 00000010 0010 0001 00000008 00000001'),
  goim1Push: hex('82 1a 0000001a 0010 0000 00000005 00000000', TEST_1),
  goim2HeartbeatReply: hex('82 14 00000014 0010 0001 00000003 00000002 00000007'),
  goim2Push: hex('82 2a 0000002a 0010 0001 00000009 00000000  0000001a 0010 0001 000003e8 00000000', TEST_1),
  nativePush: hex('82 2a 0000002a 0020 0002 00000005 0000002a 00000001 000000000000002a 0000 0000', TEST_1),
} as const;
