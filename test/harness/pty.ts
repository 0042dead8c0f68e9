// Runs a program on a pseudo-terminal of its own, as a person would: what it wrote to the terminal, raw, and how it ended.
import { spawn } from 'node:child_process';

/** Node has no pseudo-terminals; Python, which every machine that builds this has, does. Signals are for the program. */
const RELAY = `
import fcntl, os, pty, select, signal, struct, sys, termios
rows, columns, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
    os.execvp(command[0], command)
print(pid, file=sys.stderr, flush=True)
inputs = [0, fd]
while True:
    for ready in select.select(inputs, [], [])[0]:
        try:
            data = os.read(ready, 65536)
        except OSError:
            data = b''
        if ready == fd and data:
            os.write(1, data)
        elif ready == 0 and data:
            os.write(fd, data)
        elif ready == 0:
            os.close(fd)
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        else:
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

/** A program on a terminal. */
export interface OnTerminal {
  /** All that it wrote so far. */
  readonly written: () => string;
  /** Of the program. */
  readonly pid: number;
  /** Resolves when it has written this; `from`: after so much of what it wrote. */
  readonly writes: (text: string, from?: number) => Promise<void>;
  readonly type: (keys: string) => void;
  readonly kill: (signal: NodeJS.Signals) => void;
  /** Takes the terminal away, as when its window is closed. */
  readonly hangUp: () => void;
  /** Its exit status; 256 less the signal that ended it. */
  readonly ended: Promise<number>;
}

/** Starts a program on a terminal of this size. */
export async function onTerminal(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  columns = 80,
  rows = 24,
): Promise<OnTerminal> {
  const relay = spawn('python3', ['-c', RELAY, String(rows), String(columns), ...command], { env });
  let written = '';
  relay.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    written += chunk;
  });
  relay.stdin.on('error', () => {});
  const pid = await new Promise<number>((resolve, reject) => {
    relay.once('error', reject);
    relay.stderr.once('data', (chunk: Buffer) => resolve(Number(chunk.toString())));
  });
  const ended = new Promise<number>((resolve) => relay.once('close', (status) => resolve(status ?? -1)));
  return {
    written: () => written,
    pid,
    async writes(text, from = 0) {
      while (!written.includes(text, from)) {
        const more = new Promise((resolve) => relay.stdout.once('data', resolve));
        await Promise.race([more, ended.then(() => Promise.reject(new Error(`ended without ${text}:\n${written}`)))]);
      }
    },
    type: (keys) => void relay.stdin.write(keys),
    kill: (signal) => process.kill(pid, signal),
    hangUp: () => void relay.stdin.end(),
    ended,
  };
}
