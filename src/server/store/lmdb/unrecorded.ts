// Sessions that opened where nothing could be written: their devices left no mark, so that after a crash nobody knows what
// they were sent. That there are such sessions is told by a file made while there was room, whose few bytes are overwritten
// in place, which a full disk allows. A restart then takes every device as one that may have been sent everything. (A device
// that was never there before does not open then: the disk would know nothing of it.)

import { closeSync, constants, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { ImgoError } from '../../../protocol/errors.js';

/** An epoch and its CRC-32. */
const BYTES = 8;

export class Unrecorded {
  /** The last epoch that had such sessions and did not end in order; 0: none. */
  readonly epoch: number;
  readonly #fd: number;
  #noted = false;

  /**
   * Opens the file of a data folder, and makes it when it is not there.
   * @param lastEpoch - of the process before: a file that cannot be read may have been about it
   * @throws ImgoError data_unusable
   */
  constructor(folder: string, lastEpoch: number) {
    try {
      this.#fd = openSync(join(folder, 'unrecorded'), constants.O_RDWR | constants.O_CREAT, 0o600);
    } catch (cause) {
      throw new ImgoError('data_unusable', { data: folder, detail: String(cause) }, { cause });
    }
    const bytes = Buffer.alloc(BYTES);
    const size = readSync(this.#fd, bytes, 0, BYTES, 0);
    const whole = size === BYTES && bytes.readUInt32LE(4) === crc32(bytes.subarray(0, 4));
    this.epoch = whole ? bytes.readUInt32LE(0) : size === 0 ? 0 : lastEpoch;
    if (!whole) this.#write(this.epoch);
  }

  /** On disk when it returns true: sessions of this epoch are not recorded. False: not even that could be written. */
  note(epoch: number): boolean {
    if (!this.#noted) this.#noted = this.#write(epoch);
    return this.#noted;
  }

  /** The process ends. `recorded`: in order, and all that its sessions did is on disk. */
  close(recorded: boolean): void {
    if (recorded && this.#noted) this.#write(this.epoch);
    closeSync(this.#fd);
  }

  #write(epoch: number): boolean {
    const bytes = Buffer.alloc(BYTES);
    bytes.writeUInt32LE(epoch, 0);
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 4)), 4);
    try {
      writeSync(this.#fd, bytes, 0, BYTES, 0);
      fsyncSync(this.#fd);
      return true;
    } catch {
      return false;
    }
  }
}
