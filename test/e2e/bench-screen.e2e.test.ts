// The process that draws a run: on a terminal it takes a screen of its own and gives it back, whoever ends it.
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { ToScreen } from '../../src/cli/bench/screen.js';
import { madeUpResult } from '../harness/bench-result.js';

const SCREEN = fileURLToPath(new URL('../../dist/cli/bench/screen.js', import.meta.url));
const TERMINAL = fileURLToPath(new URL('../docs/terminal.mjs', import.meta.url));
const [ENTER, LEAVE] = ['\u001b[?1049h', '\u001b[?1049l'];
const { plan, samples } = madeUpResult({ connections: 1_000, measureSeconds: 5 });

class Screen {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  text = '';

  constructor() {
    this.child = spawn(process.execPath, ['--import', TERMINAL, SCREEN], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: { ...process.env, LANG: 'C.UTF-8', NODE_ENV: 'production' },
    });
    this.child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      this.text += chunk;
    });
    this.ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.tell({ plan, cores: 2, reference: true, coloured: false });
  }

  tell(message: ToScreen): void {
    this.child.send(message);
  }

  /** Resolves when it has drawn this. */
  async shows(text: string): Promise<void> {
    while (!this.text.includes(text)) await new Promise((resolve) => this.child.stderr?.once('data', resolve));
  }
}

it('draws what it is told, and leaves the screen as it was when the run lets go of it', async () => {
  const screen = new Screen();
  for (const sample of samples) screen.tell({ sample });
  await screen.shows('1,000 of 1,000');
  screen.child.disconnect();
  await screen.shows(LEAVE);
  expect(await screen.ended).toBe(0);
  expect(screen.text.indexOf(ENTER)).toBeGreaterThanOrEqual(0);
  expect(screen.text.lastIndexOf(LEAVE)).toBeGreaterThan(screen.text.lastIndexOf('1,000 of 1,000'));
});

it('outlives Ctrl-C, which is for the run, and says that the account follows', async () => {
  const screen = new Screen();
  for (const sample of samples) screen.tell({ sample });
  await screen.shows('Ctrl-C ends it');
  screen.child.kill('SIGINT');
  screen.tell({ stopping: true });
  await screen.shows('Interrupted: the account follows');
  screen.child.disconnect();
  await screen.shows(LEAVE);
  expect(await screen.ended).toBe(0);
});
