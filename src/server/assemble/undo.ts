// What was opened on the way up is closed on the way down, in the other direction.

/** Closes one thing. */
export type Undo = () => PromiseLike<void> | void;

/** Every step is taken, in order, whatever becomes of the others. Throws the first error. */
export async function runAll(steps: readonly Undo[]): Promise<void> {
  let failed: { readonly error: unknown } | undefined;
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failed ??= { error };
    }
  }
  if (failed !== undefined) throw failed.error;
}

/** Whoever calls later gets what the first call got. */
export function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= run();
    return running;
  };
}
