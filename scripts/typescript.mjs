// `node --import ./scripts/typescript.mjs file.ts`: runs the project's TypeScript as it stands. Node strips the types
// by itself; what it lacks is that an import of './x.js' in a TypeScript file means './x.ts'.

import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, next) {
    if (!/^\.{1,2}\/.*\.js$/.test(specifier) || !context.parentURL?.endsWith('.ts')) return next(specifier, context);
    try {
      return next(specifier.replace(/js$/, 'ts'), context);
    } catch (error) {
      if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
      return next(specifier, context);
    }
  },
});
