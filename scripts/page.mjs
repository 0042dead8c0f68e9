// Makes the try-it page (src/page) one document: its script bundled with the client library and the protocol, its style and
// both inlined, without comments. Nothing of it is loaded from anywhere else, and the server knows both by their hash.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { ROOT } from './freshness.mjs';

const SOURCE = join(ROOT, 'src/page');
/** A style sheet of the page, in its order. */
const SHEET = /<link rel="stylesheet" href="(.+?)">\n?/g;

/** Writes page/page.html into the folder `target`. Throws what the bundler does. */
export async function buildPage(target) {
  const html = readFileSync(join(SOURCE, 'index.html'), 'utf8');
  const script = await bundle();
  const style = shorten(
    Array.from(html.matchAll(SHEET), ([, file]) => readFileSync(join(SOURCE, file), 'utf8')).join(''),
  );
  for (const text of [script, style]) {
    if (/<\/(script|style)|<!--/i.test(text)) throw new Error('an inlined file would end its element');
  }
  const document = html
    .replace(/<!--[\s\S]*?-->\n?/g, '')
    .replace(/^\s+/gm, '')
    .replaceAll(SHEET, '')
    .replace('</head>', () => `<style>${style}</style></head>`)
    .replace('<script src="main.js"></script>', () => `<script>${script}</script>`);
  mkdirSync(join(target, 'page'), { recursive: true });
  writeFileSync(join(target, 'page/page.html'), document);
}

async function bundle() {
  const bundler = await rolldown({
    input: join(SOURCE, 'main.ts'),
    platform: 'browser',
    tsconfig: false,
    resolve: { extensionAlias: { '.js': ['.ts', '.js'] } },
  });
  try {
    const { output } = await bundler.generate({ format: 'iife', minify: true });
    return output[0].code.trim();
  } finally {
    await bundler.close();
  }
}

/** A style sheet of ours without comments and blanks: it has neither in its strings. */
function shorten(css) {
  return css
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/\s+/g, ' ')
    .replace(/ ?([{}:;,>]) ?/g, '$1')
    .trim();
}
