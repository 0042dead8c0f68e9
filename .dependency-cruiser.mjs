// Which imports are allowed: the arrows between the layers, no cycles, no development packages in what is shipped.
// Run from the project's root over src and test; test/unit/architecture.test.ts proves that it still sees violations.

import { Visitor } from '@swc/core/Visitor.js';

// swc's visitor, which dependency-cruiser walks the syntax with, does not know `using` declarations and throws at them.
const visitStatement = Visitor.prototype.visitStatement;
Visitor.prototype.visitStatement = function (statement) {
  if (statement.type !== 'UsingDeclaration') return visitStatement.call(this, statement);
  statement.decls = this.visitVariableDeclarators(statement.decls);
  return statement;
};

const layer = (names) => `^src/(${names})/`;

/** An arrow that must not exist. */
const never = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

export default {
  forbidden: [
    never('no-cycle', 'Two files that need each other are one thing, or a third is missing.', {}, { circular: true }),
    never('unresolved', 'Every import must lead somewhere.', {}, { couldNotResolve: true }),
    never(
      'protocol-is-the-bottom',
      'The protocol has no dependency and runs in a browser.',
      { path: layer('protocol') },
      { pathNot: layer('protocol') },
    ),
    never(
      'client-runs-in-a-browser',
      'What the browser entry reaches is the client and the protocol, nothing of Node and no package.',
      { path: '^src/client/browser\\.ts$' },
      { pathNot: '^src/(protocol|client)/', reachable: true },
    ),
    never(
      'page-runs-in-a-browser',
      'What the try-it page reaches is itself, the client and the protocol, nothing of Node and no package.',
      { path: layer('page') },
      { pathNot: '^src/(page|protocol|client)/', reachable: true },
    ),
    never(
      'page-alone',
      'The page is built into one document: nothing imports it.',
      { path: layer('protocol|client|server|bench|cli|commands') },
      { path: layer('page') },
    ),
    never(
      'server-alone',
      'A server knows the protocol only.',
      { path: layer('server') },
      { path: layer('client|bench|cli|commands') },
    ),
    never(
      'client-alone',
      'A client knows the protocol only.',
      { path: layer('client') },
      { path: layer('server|bench|cli|commands') },
    ),
    never(
      'bench-alone',
      'The bench starts servers through the command line.',
      { path: layer('bench') },
      { path: layer('server|client|cli|commands') },
    ),
    never(
      'cli-below-commands',
      'What commands share does not know them.',
      { path: layer('cli') },
      { path: layer('commands') },
    ),
    never(
      'src-not-test',
      'What is shipped does not need the tests.',
      { path: '^src/' },
      { path: '^(test|bench|scripts)/' },
    ),
    never(
      'src-no-development-package',
      'What is shipped needs only what is installed with it.',
      { path: '^src/' },
      { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    ),
    never(
      'engines-only-in-assembly',
      'Contracts are imported; which engine stands behind them is known to assemble.ts alone.',
      { path: '^src/', pathNot: '^src/server/(assemble(\\.ts$|/)|(store|router|queue)/)' },
      { path: '^src/server/(store|router|queue)/(memory|lmdb|redis|embedded|kafka)' },
    ),
    never(
      'lmdb-only-in-its-engine',
      'One engine knows lmdb.',
      { path: '^src/', pathNot: '^src/server/(store|router|queue)/' },
      { path: 'node_modules/lmdb/' },
    ),
    never(
      'kafkajs-only-in-its-engine',
      'One engine knows kafkajs.',
      { path: '^src/', pathNot: '^src/server/queue/kafka' },
      { path: 'node_modules/kafkajs/' },
    ),
    never(
      'ioredis-only-in-its-engines',
      'The engines in Redis know its client.',
      { path: '^src/', pathNot: '^src/server/(store|router)/redis' },
      { path: 'node_modules/ioredis/' },
    ),
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|node_modules/\\.cache)' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
