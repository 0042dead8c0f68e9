// Runs what a page of the documentation shows. A fenced block ```console is one terminal: lines that begin with `$ ` are
// commands, the lines below are what they print (stdout and stderr together), `…` stands for any lines, a last line
// `exit N` for the status (else 0). Servers and listeners go on running to the end of the page, and what they print is
// looked at there. Ids, times, ports, pids and durations only have to look alike.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PATIENCE_MS = 60_000;

/** A command of a page and what it prints. */
export interface Step {
  /** Line in the page, from 1. */
  readonly line: number;
  readonly command: string;
  readonly expected: readonly string[];
  readonly status: number;
}

/** The commands of a page, in order. */
export function stepsOf(page: string): readonly Step[] {
  const steps: { line: number; command: string; expected: string[]; status: number }[] = [];
  let inside = false;
  for (const [index, line] of readFileSync(join(ROOT, page), 'utf8').split('\n').entries()) {
    if (line.startsWith('```')) inside = line === '```console';
    else if (inside && line.startsWith('$ ')) {
      const command = line.slice(2).replace(/\s{2,}#.*$/, '');
      steps.push({ line: index + 1, command, expected: [], status: 0 });
    } else if (inside) {
      const step = steps.at(-1);
      if (step === undefined) throw new Error(`${page}:${index + 1}: a console block begins with a command`);
      const status = /^exit (\d+)$/.exec(line)?.[1];
      if (/\\$/.test(step.command) && step.expected.length === 0) step.command += `\n${line}`;
      else if (status === undefined) step.expected.push(line);
      else step.status = Number(status);
    }
  }
  return steps;
}

/** Runs the commands of one page in a folder of its own. */
export class Page implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'imgo-docs-'));
  readonly #running: { readonly step: Step; readonly child: ChildProcess; readonly output: () => string }[] = [];
  /** Where the server of the page really listens, by the address that the page shows. */
  readonly #addresses = new Map<string, string>();

  constructor() {
    mkdirSync(join(this.folder, 'path'));
    symlinkSync(join(ROOT, 'bin/imgo'), join(this.folder, 'path/imgo'));
    symlinkSync(join(ROOT, 'bin'), join(this.folder, 'bin'));
    if (spawnSync('curl', ['--version']).status !== 0) {
      const script = `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'test/docs/curl.mjs')}' "$@"\n`;
      writeFileSync(join(this.folder, 'path/curl'), script, { mode: 0o755 });
    }
    copyFileSync(join(ROOT, 'package.json'), join(this.folder, 'package.json'));
  }

  /** @throws Error with both texts when a command did not do what the page shows */
  async run(step: Step): Promise<void> {
    const { child, output } = this.#start(step.command.replace(/^npm ci && /, ''));
    if (isService(step.command)) {
      this.#running.push({ step, child, output });
      const first = step.expected.findIndex((line) => line !== '…');
      const enough = step.expected.slice(0, isServer(step.command) ? undefined : first + 1);
      const isReady = (): boolean => !isServer(step.command) || /^Ready in /m.test(output());
      await this.#until(() => (isReady() && alike([...enough, '…'], output())) || child.exitCode !== null);
      this.#learn(step, output());
      if (!alike([...enough, '…'], output())) throw new Error(difference(step, output()));
      return;
    }
    const status = await ended(child, step);
    if (status !== step.status) throw new Error(`${step.command}\nexit ${status}, not ${step.status}\n${output()}`);
    if (step.expected.length > 0 && !alike(step.expected, output())) throw new Error(difference(step, output()));
  }

  /** Looks at what the servers and listeners have printed by now. */
  async finish(): Promise<void> {
    for (const { step, output } of this.#running) {
      await this.#until(() => alike([...step.expected, '…'], output()));
      if (!alike([...step.expected, '…'], output())) throw new Error(difference(step, output()));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#running.toReversed()) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
        process.kill(-child.pid, 'SIGTERM');
        await gone;
      }
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  #start(command: string): { child: ChildProcess; output: () => string } {
    let real = command;
    for (const [shown, actual] of this.#addresses) real = real.replaceAll(shown, actual);
    const env: NodeJS.ProcessEnv = {
      PATH: `${join(this.folder, 'path')}${delimiter}${process.env['PATH']}`,
      HOME: this.folder,
      LANG: 'C.UTF-8',
      XDG_STATE_HOME: join(this.folder, 'state'),
      IMGO_LISTEN__HTTP: '0',
      IMGO_LISTEN__WS: '0',
      IMGO_LISTEN__TCP: '0',
      IMGO_STORE__RESERVE: '1MiB',
      NO_COLOR: '1',
      NODE_OPTIONS: `--import=${join(ROOT, 'test/docs/terminal.mjs')}`,
      npm_config_update_notifier: 'false',
      npm_config_progress: 'false',
    };
    const child = spawn('sh', ['-c', real], {
      cwd: this.folder,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
    }
    return { child, output: () => text };
  }

  #learn(step: Step, output: string): void {
    if (!isServer(step.command)) return;
    for (const [name, shown] of SHOWN) {
      const real = new RegExp(`^  ${name} +\\S*(127\\.0\\.0\\.1:\\d+)`, 'm').exec(output)?.[1];
      if (real !== undefined) this.#addresses.set(shown, real);
    }
  }

  async #until(holds: () => boolean): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!holds() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What the pages show, by the name in the banner. */
const SHOWN = [
  ['http', '127.0.0.1:7172'],
  ['ws', '127.0.0.1:8090'],
  ['tcp', '127.0.0.1:8080'],
  ['goim', '127.0.0.1:3101'],
  ['legacy', '127.0.0.1:7173'],
] as const;

function isServer(command: string): boolean {
  return /\bnpm start$|\bimgo serve\b/.test(command) && !/--check|--help/.test(command);
}

function isService(command: string): boolean {
  return isServer(command) || (/\bimgo listen\b/.test(command) && !/ -n |--timeout|--help/.test(command));
}

async function ended(child: ChildProcess, step: Step): Promise<number | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      reject(new Error(`${step.command}\ndid not end in ${PATIENCE_MS / 1_000} s`));
    }, PATIENCE_MS);
  });
  try {
    return await Promise.race([late, new Promise<number | null>((resolve) => child.once('close', resolve))]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether the lines printed are those expected, `…` standing for any. */
function alike(expected: readonly string[], output: string): boolean {
  const printed = lines(output).map(shape);
  const wanted = lines(expected.join('\n')).map(shape);
  const match = (w: number, p: number): boolean => {
    if (w === wanted.length) return p === printed.length;
    if (wanted[w] === '…') return match(w + 1, p) || (p < printed.length && match(w, p + 1));
    return p < printed.length && sameLine(wanted[w] ?? '', printed[p] ?? '') && match(w + 1, p + 1);
  };
  return match(0, 0);
}

/** Inside a line `…` stands for any text. */
function sameLine(wanted: string, printed: string): boolean {
  const pattern = wanted.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${pattern.join('.*')}$`).test(printed);
}

/** Empty lines, npm's own ones and the note that sources are being built do not count. */
const NOISE = /^(\s*|> .*|npm warn.*|Building imgo…)$/;

function lines(text: string): string[] {
  return text.split('\n').filter((line) => !NOISE.test(line));
}

/** A line with what differs from run to run replaced by its kind. */
function shape(line: string): string {
  return line
    .trimEnd()
    .replace(/(?<=\S) {2,}/g, '  ')
    .replace(/\d\d:\d\d:\d\d\.\d{3}/g, 'TIME')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'WHEN')
    .replace(/\b\d{9,10}-\d+/g, 'ID')
    .replace(/(127\.0\.0\.1|localhost):\d+(\/sub)?\s*/g, 'ADDRESS$2 ')
    .replace(/\b\d+(\.\d+)? ?(ms|s)\b/g, 'N $2')
    .replace(/"ms":[\d.]+/g, '"ms":N')
    .replace(/"at":\d{13}/g, '"at":N')
    .replace(/\bpid \d+/g, 'pid N')
    .replace(/ \(bundled; yours is [\d.]+\)/g, '')
    .replace(/Node \d+\.\d+\.\d+/g, 'Node V')
    .replace(/\b([kst]_[A-Za-z0-9_-]{8,}|n-[0-9a-f]{8}\b)/g, 'NAME')
    .trimEnd();
}

function difference(step: Step, output: string): string {
  return `line ${step.line}: $ ${step.command}\n--- the page shows\n${step.expected.join('\n')}\n--- it printed\n${output}`;
}
