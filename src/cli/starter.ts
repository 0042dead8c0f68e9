/**
 * Whoever starts a process with a channel to it (IPC: scripts, process managers, this program itself) is there to look after it. What
 * goes on alone would hold the ports that the next one needs, so it ends when the channel does, and nothing is ever said over it.
 */
export function onStarterGone(end: () => void): void {
  // Undefined: there is none, as from a shell or systemd. It may have broken by now, which is said once only.
  if (process.connected === undefined) return;
  if (!process.connected) {
    end();
    return;
  }
  process.once('disconnect', end);
  // It is no reason to go on running.
  process.channel?.unref();
}
