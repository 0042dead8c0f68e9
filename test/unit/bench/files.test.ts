// What is wrong with a file is told by name and reason, and a report's path before the run rather than after it.
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readResult } from '../../../src/bench/result-file.js';
import { checkWritable } from '../../../src/bench/writable.js';
import { ImgoError } from '../../../src/protocol/errors.js';
import { madeUpResult } from '../../harness/bench-result.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imgo-bench-files-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function refusal(work: Promise<unknown>): Promise<string> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(ImgoError);
  const { exit, message } = thrown as ImgoError;
  expect(exit).toBe(2);
  expect(message).toContain(folder);
  return message.replaceAll(folder, 'DIR');
}

test('a path that can be written is left as it was', async () => {
  const file = join(folder, 'report.html');
  await checkWritable(file);
  await expect(stat(file)).rejects.toMatchObject({ code: 'ENOENT' });
  await writeFile(file, 'before');
  await checkWritable(file);
  expect(await readFile(file, 'utf8')).toBe('before');
});

test('a path that cannot is told with why', async () => {
  const refused = (path: string) => refusal(checkWritable(join(folder, path)));
  await writeFile(join(folder, 'file'), '');
  expect(await refused('missing/report.html')).toBe(
    'Cannot write DIR/missing/report.html: there is no folder DIR/missing.',
  );
  expect(await refused('.')).toContain('it is a folder');
  expect(await refused('file/report.html')).toContain('a part of its path is not a folder');
});

// Root may write nearly everywhere; nobody makes a file in sysfs.
test('no permission is told', async () => {
  const thrown = await checkWritable('/sys/imgo-report.html').catch((error: unknown) => error);
  expect((thrown as ImgoError).message).toMatch(
    /^Cannot write \/sys\/imgo-report.html: (there is no permission|the file system may only be read)\.$/,
  );
});

test('a result is read as it was written', async () => {
  const result = madeUpResult({ connections: 500, processes: 2, measureSeconds: 3 });
  const unlimited = { ...result, machine: { ...result.machine, files: Number.POSITIVE_INFINITY } };
  await writeFile(join(folder, 'a.json'), JSON.stringify(unlimited));
  expect(await readResult(join(folder, 'a.json'))).toEqual(unlimited);
});

test('what is no result is refused with its first fault', async () => {
  const result = madeUpResult({ connections: 500, processes: 2, measureSeconds: 3 });
  const read = async (text: string) => {
    await writeFile(join(folder, 'x.json'), text);
    return refusal(readResult(join(folder, 'x.json')));
  };
  expect(await refusal(readResult(join(folder, 'none.json')))).toContain('there is no such file');
  expect(await refusal(readResult(folder))).toContain('it is a folder');
  expect(await read('')).toContain('it is not JSON');
  expect(await read('{"format":')).toContain('it is not JSON');
  expect(await read('null')).toContain('it: ');
  expect(await read('[]')).toContain('it: ');
  expect(await read('{"format":2}')).toContain('its format is 2, this version reads 1');
  expect(await read('{"id":"1-1","log":"user:1"}')).toContain('.format: ');
  expect(await read(JSON.stringify({ ...result, lost: 'none' }))).toContain('.lost: ');
  const [first, ...others] = result.samples;
  expect(await read(JSON.stringify({ ...result, samples: [{ ...first, phase: 'lunch' }, ...others] }))).toContain(
    '.samples.0.phase: ',
  );
});
