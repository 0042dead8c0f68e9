// What happens when nobody reads stdout any more (`imgo … | head -1`): the program ends quietly, after what a command has
// to tidy up.

let tidy: (() => Promise<void>) | undefined;
let ending = false;

/** What to do before the program ends because its reader has gone. */
export function onClosedPipe(run: () => Promise<void>): void {
  tidy = run;
}

/** For the streams' `error` event. */
export function endOnClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
  if (ending) return;
  ending = true;
  const end = (): never => process.exit(0);
  if (tidy === undefined) end();
  else void tidy().then(end, end);
}
