// The image of templates/image is made of what `npm pack` makes here.
import { existsSync, readFileSync } from 'node:fs';
import { matchesGlob } from 'node:path';
import { expect, it } from 'vitest';
import { readPackage } from '../../src/cli/oclif.js';
import { read } from './files.js';

const file = read('image/Dockerfile');

it('copies the package by the name that it has', () => {
  const { name, version } = readPackage();
  const packed = `${name.replace('@', '').replace('/', '-')}-${version}.tgz`;
  const [, copied = ''] = /^COPY (\S+\.tgz) /m.exec(file) ?? [];
  expect(matchesGlob(packed, copied)).toBe(true);
  expect(file).toContain(`imgo:${version}`);
});

it('runs the launcher that is in it, not as root, on images with a version', () => {
  const { name } = readPackage();
  const [, launcher = ''] = /^RUN ln -s (\S+) \/usr\/local\/bin\/imgo/m.exec(file) ?? [];
  const [, path = ''] = launcher.split(`/node_modules/${name}/`);
  expect(existsSync(new URL(`../../${path}`, import.meta.url))).toBe(true);
  const { files } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    readonly files: readonly string[];
  };
  expect(files).toContain(path.split('/')[0]);
  expect(file).toMatch(/^USER [1-9]\d*:[1-9]\d*$/m);
  for (const [, image] of file.matchAll(/^FROM (\S+)/gm)) expect(image).toMatch(/^\w+:(?!latest)\S+$/);
});
