// The form in which this program was called (`imgo`, `./bin/imgo`): advice repeats it, so that it can be copied.

const COMMANDS =
  /\bimgo(?= {1,2}(?:serve|push|token|key|listen|sessions|rooms|kick|status|nodes|config|explain|completion|bench|drain|init|doctor|help|--help)(?:\s|$))/g;

/** `imgo`, or the path that was typed. */
export function ownName(): string {
  return process.env['IMGO_ARGV0'] || 'imgo';
}

/** Replaces `imgo COMMAND` in a text of ours by the form that was typed. */
export function asTyped(text: string): string {
  const name = ownName();
  return text.replace(COMMANDS, () => name).replace(`${name}  `, () => `${name} `);
}
