// Programs of other versions: this one's build with a few lines changed, each in a folder of its own. A line that is not there
// any more fails whoever asks.
import { cpSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const VERSIONS = ['export const LINK_VERSION = 1;', 'export const OLDEST_LINK_VERSION = 1;'] as const;

/** By file of the build: what stands there, and what stands there in that version. */
type Edits = Readonly<Record<string, readonly (readonly [here: string, there: string])[]>>;

/** Says more of everything, in every place where versions meet, and asks for what this one does not offer. */
const NEWER: Edits = {
  'server/rpc/wire.js': [
    [VERSIONS[0], 'export const LINK_VERSION = 2;'],
    ['return packr.pack(value);', 'return packr.pack(withMore(value));'],
    [
      'export function packBody(',
      `function withMore(value) {
         if (Array.isArray(value)) return value.map(withMore);
         if (value === null || typeof value !== 'object' || ArrayBuffer.isView(value)) return value;
         return { ...Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withMore(each)])), later: 1 };
       }
       export function packBody(`,
    ],
  ],
  'server/rpc/admission.js': [['{ versions: OURS, ...self,', '{ later: { more: [1] }, versions: OURS, ...self,']],
  'server/rpc/logics.js': [
    [
      'const welcome = await this.#cluster.welcome();',
      `const welcome = await this.#cluster.welcome();
       await this.#call('cluster.later', [{}], 1_000).catch(({ code, message }) => {
         process.stderr.write(\`later: \${code} \${message}\\n\`);
       });`,
    ],
  ],
  'server/router/redis.js': [
    [
      'JSON.stringify({ roles, address, version, since })',
      'JSON.stringify({ roles, address, version, since, later: 1 })',
    ],
  ],
  'server/queue/kafka/format.js': [
    // An extension of tag 9.
    [
      'trace === undefined ? putVarint(bytes, at, 0)',
      'trace === undefined ? putVarint(bytes, putVarint(bytes, putVarint(bytes, putVarint(bytes, at, 3), 9), 1), 7)',
    ],
  ],
};

/** Speaks nothing any more that this version does. */
const FAR: Edits = {
  'server/rpc/wire.js': [
    [VERSIONS[0], 'export const LINK_VERSION = 4;'],
    [VERSIONS[1], 'export const OLDEST_LINK_VERSION = 3;'],
  ],
};

const MADE = { newer: ['0.2.0', NEWER], far: ['9.0.0', FAR] } as const;

/** `bin/imgo` of that version, in a new folder of that name within `folder`. */
export function otherVersion(folder: string, name: keyof typeof MADE): string {
  const [version, edits] = MADE[name];
  const there = join(folder, name);
  mkdirSync(there);
  const built = realpathSync(join(ROOT, 'dist'));
  cpSync(built, join(there, 'dist'), { recursive: true, filter: (path) => !path.startsWith(join(built, '.cache')) });
  cpSync(join(ROOT, 'bin'), join(there, 'bin'), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(there, 'node_modules'));
  const about = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as object;
  writeFileSync(join(there, 'package.json'), JSON.stringify({ ...about, version }));
  for (const [path, changes] of Object.entries(edits)) {
    const file = join(there, 'dist', path);
    let text = readFileSync(file, 'utf8');
    for (const [here, other] of changes) {
      if (text.split(here).length !== 2) throw new Error(`${path} does not have this once: ${here}`);
      text = text.replace(here, () => other);
    }
    writeFileSync(file, text);
  }
  return join(there, 'bin/imgo');
}
