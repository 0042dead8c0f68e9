// `tail`: a view where there is somebody to look at it, lines elsewhere.

import type { Api } from '../api.js';
import type { Output } from '../output.js';
import { canShowViews } from '../tui/available.js';
import { printEvents } from './lines.js';
import type { TailOptions } from './options.js';

/** @throws ImgoError timeout, interrupted, what the server says, unreachable, server_too_old */
export async function tail(options: TailOptions, view: boolean, api: Api, output: Output): Promise<void> {
  if (!view || output.json || !canShowViews()) return printEvents(options, api, output);
  const { showTail } = await import('./show.js');
  await showTail(options, api);
}
