// SIGHUP: settings are read again from where they came, and a running server takes over what it can. What is wrong with them
// is logged, and changes nothing.

import type { Logger } from 'pino';
import type { RunningServer } from '../../server/assemble.js';
import type { LoadedConfig } from '../../server/config-load.js';
import { asFailure } from '../failures.js';

/** What a reload needs of the server that runs. */
export interface Reloading {
  readonly server: Pick<RunningServer, 'reload'>;
  readonly log: Logger;
  /** As they were read at the start. */
  readonly loaded: LoadedConfig;
  /** Reads them again. Throws what `loadConfig` throws. */
  readonly load: () => Promise<LoadedConfig>;
}

/** Reloads at every SIGHUP, one at a time. On a terminal SIGHUP means that it is gone, and is left to who stops the server. */
export function reloadOnHangUp({ server, log, loaded, load }: Reloading): void {
  let current = loaded;
  let running = Promise.resolve();
  const reload = async (): Promise<void> => {
    try {
      const next = await load();
      const { taken, waiting } = server.reload(next.config, changedKeys(current, next));
      log.level = next.config.log.level;
      current = next;
      log.info({ taken }, 'settings were read again');
      if (waiting.length > 0) log.warn({ waiting }, 'these settings take effect with the next start');
    } catch (error) {
      const { code, message } = asFailure(error, 'serve', []);
      log.error({ code, error: message }, 'settings could not be read again; nothing changed');
    }
  };
  process.on('SIGHUP', () => {
    running = running.then(reload);
  });
}

/** Settings whose values are not what they were. */
export function changedKeys(before: LoadedConfig, after: LoadedConfig): readonly string[] {
  const values = new Map(before.settings.map(({ key, value }) => [key, value]));
  return after.settings.filter(({ key, value }) => values.get(key) !== value).map(({ key }) => key);
}
