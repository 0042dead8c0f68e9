// The judge of a trace sees what it is there to see.
import { describe, expect, it } from 'vitest';
import { judge } from './trace.js';

const STORE = '/d/store.mdb';
const OPEN = [
  `10 openat(AT_FDCWD</d>, "${STORE}", O_RDWR|O_CREAT, 0664) = 23<${STORE}>`,
  `10 openat(AT_FDCWD</d>, "${STORE}", O_WRONLY|O_DSYNC|O_CLOEXEC) = 27<${STORE}>`,
];
const PAGE = `11 pwrite64(23<${STORE}>, "..marker.1.x..", 4096, 8192) = 4096`;
const SYNC = `11 fdatasync(23<${STORE}>) = 0`;
const META = `11 pwrite64(27<${STORE}>, "meta", 120, 4096) = 120`;
const ANSWER =
  '10 write(28<socket:[7]>, "HTTP/1.1 200 OK\\r\\n\\r\\n{\\"log\\":\\"user:1\\",\\"id\\":\\"5-1\\"}", 99) = 99';
const DELIVERY = '10 write(29<socket:[8]>, "\\0\\0marker.1.x", 40) = 40';

function problems(...lines: readonly string[]): readonly string[] {
  return judge([...OPEN, ...lines].join('\n'), STORE, [{ marker: 'marker.1.x', id: '5-1' }]).problems;
}

describe('an answer or a delivery', () => {
  it('after page, sync and meta page is in order', () => {
    expect(problems(PAGE, SYNC, META, ANSWER, DELIVERY)).toEqual([]);
  });

  it.each([
    ['before the sync', [PAGE, ANSWER, SYNC, META]],
    ['before the meta page', [PAGE, SYNC, ANSWER, META]],
    ['delivered before the meta page', [PAGE, SYNC, DELIVERY, META, ANSWER]],
    ['without a sync', [PAGE, META, ANSWER]],
    ['with a sync that came before the page', [SYNC, PAGE, META, ANSWER]],
    ['with a sync that failed', [PAGE, SYNC.replace('= 0', '= -1 EIO (Input/output error)'), META, ANSWER]],
    ['with a sync of another file', [PAGE, SYNC.replaceAll(STORE, '/d/other'), META, ANSWER]],
    ['with a meta page that is not written through', [PAGE, SYNC, META.replace('27<', '23<'), ANSWER]],
    ['whose page never was written', [SYNC, META, ANSWER]],
    [
      'during the sync',
      [PAGE, `11 fdatasync(23<${STORE}> <unfinished ...>`, ANSWER, '11 <... fdatasync resumed>) = 0', META],
    ],
    ['that never came', [PAGE, SYNC, META]],
  ])('%s is found', (_name, lines) => {
    expect(problems(...lines)).toHaveLength(1);
  });

  it('during which the next commit already syncs is in order', () => {
    const next = [`11 fdatasync(23<${STORE}> <unfinished ...>`, ANSWER, '11 <... fdatasync resumed>) = 0'];
    expect(problems(PAGE, SYNC, META, ...next)).toEqual([]);
  });
});
