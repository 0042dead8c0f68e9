// What takes something away is confirmed when it outlives the server that it was told to.

import { ImgoError } from '../../protocol/errors.js';
import type { Credentials } from '../store/credentials.js';

/** Everything that was revoked or kicked before. @throws ImgoError redis_not_copied */
export async function outliving(credentials: Credentials): Promise<void> {
  if ((await credentials.outlive?.()) === false) throw new ImgoError('redis_not_copied');
}
