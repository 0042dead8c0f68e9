// Commands as they go to Redis, beside what ioredis makes of the same.
import { Command } from 'ioredis';
import { expect, test } from 'vitest';
import { PackedCommand } from '../../../src/server/store/redis/packed-command.js';
import { fc } from '../../harness/property.js';

test('a command has the bytes of ioredis', () => {
  const bytes = fc.uint8Array({ maxLength: 100 }).map((array) => Buffer.from(array));
  const argument = fc.oneof(fc.string({ unit: 'grapheme' }), fc.integer(), fc.double({ noNaN: true }), bytes);
  fc.assert(
    fc.property(fc.array(argument), (args) => {
      const theirs = new Command('evalsha', [...args]).toWritable({} as never);
      expect(new PackedCommand('evalsha', args).toWritable().equals(Buffer.from(theirs as string))).toBe(true);
    }),
  );
});
