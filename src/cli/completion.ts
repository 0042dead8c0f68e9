// Completion scripts, made from the commands themselves, so that they cannot differ. One shell function each: which words
// were typed decides which command's flags, or which values, are offered.

/** A command as a shell completes it. */
export interface CompletedCommand {
  /** With spaces: `token create`. */
  readonly name: string;
  readonly summary: string;
  readonly flags: readonly CompletedFlag[];
}

/** A flag as a shell completes it. */
export interface CompletedFlag {
  readonly name: string;
  readonly char: string | undefined;
  readonly summary: string;
  /** Empty: anything, or a file. */
  readonly values: readonly string[];
  readonly takesValue: boolean;
}

/** The script for a shell. `program`: the name that is completed. */
export function completionScript(
  shell: 'bash' | 'zsh' | 'fish',
  program: string,
  commands: readonly CompletedCommand[],
): string {
  if (shell === 'fish') return fish(program, commands);
  return shell === 'zsh'
    ? `#compdef ${program}\nautoload -U +X bashcompinit && bashcompinit\n${bash(program, commands)}`
    : bash(program, commands);
}

function firstWords(commands: readonly CompletedCommand[]): readonly string[] {
  return [...new Set(commands.map(({ name }) => name.split(' ')[0] ?? ''))];
}

function secondWords(commands: readonly CompletedCommand[], first: string): readonly string[] {
  return commands.flatMap(({ name }) => {
    const [topic, word] = name.split(' ');
    return topic === first && word !== undefined ? [word] : [];
  });
}

function bash(program: string, commands: readonly CompletedCommand[]): string {
  const topics = firstWords(commands).filter((word) => secondWords(commands, word).length > 0);
  const lines = [
    `_${program}() {`,
    `  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} words command`,
    '  COMPREPLY=()',
    `  if [ "$COMP_CWORD" = 1 ]; then COMPREPLY=($(compgen -W "${firstWords(commands).join(' ')} help" -- "$current")); return; fi`,
    `  command=\${COMP_WORDS[1]}`,
    '  case $command in',
    ...topics.map((topic) => `    ${topic}) ${secondWord(commands, topic)} ;;`),
    '  esac',
    '  case "$command $previous" in',
    ...commands.flatMap((command) =>
      command.flags
        .filter(({ takesValue }) => takesValue)
        .map(({ name, values }) => {
          const offer =
            values.length > 0 ? `compgen -W "${values.join(' ')}" -- "$current"` : 'compgen -f -- "$current"';
          return `    "${command.name} --${name}") COMPREPLY=($(${offer})); return ;;`;
        }),
    ),
    '  esac',
    '  case $command in',
    ...commands.map(
      ({ name, flags }) => `    "${name}") words="${flags.map((flag) => `--${flag.name}`).join(' ')} --help" ;;`,
    ),
    '  esac',
    '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
    '}',
    `complete -o default -F _${program} ${program}`,
  ];
  return `${lines.join('\n')}\n`;
}

/** What comes after a topic: its words; where it is a command by itself as well (`bench`, `bench compare`), its flags, too. */
function secondWord(commands: readonly CompletedCommand[], topic: string): string {
  const words = secondWords(commands, topic);
  const first = `if [ "$COMP_CWORD" = 2 ]`;
  if (!commands.some(({ name }) => name === topic)) {
    return `${first}; then COMPREPLY=($(compgen -W "${words.join(' ')}" -- "$current")); return; fi; command="$command \${COMP_WORDS[2]}"`;
  }
  const offer = `${first} && [ "\${current#-}" = "$current" ]`;
  return `${offer}; then COMPREPLY=($(compgen -W "${words.join(' ')}" -- "$current")); return; fi; case \${COMP_WORDS[2]} in ${words.join('|')}) command="$command \${COMP_WORDS[2]}" ;; esac`;
}

function fish(program: string, commands: readonly CompletedCommand[]): string {
  const quote = (text: string) => `'${text.replace(/[\\']/g, (char) => `\\${char}`)}'`;
  const lines = [`complete -c ${program} -f`];
  for (const first of firstWords(commands)) {
    const command = commands.find(({ name }) => name === first);
    lines.push(`complete -c ${program} -n __fish_use_subcommand -a ${first} -d ${quote(command?.summary ?? first)}`);
    for (const second of secondWords(commands, first)) {
      const summary = commands.find(({ name }) => name === `${first} ${second}`)?.summary ?? '';
      const seen = `__fish_seen_subcommand_from ${first}; and not __fish_seen_subcommand_from ${secondWords(commands, first).join(' ')}`;
      lines.push(`complete -c ${program} -n ${quote(seen)} -a ${second} -d ${quote(summary)}`);
    }
  }
  for (const { name, flags } of commands) {
    const others = name.includes(' ') ? [] : secondWords(commands, name);
    const typed = [
      ...name.split(' ').map((word) => `__fish_seen_subcommand_from ${word}`),
      ...(others.length === 0 ? [] : [`not __fish_seen_subcommand_from ${others.join(' ')}`]),
    ].join('; and ');
    for (const flag of flags) {
      const short = flag.char === undefined ? '' : ` -s ${flag.char}`;
      const value = !flag.takesValue
        ? ''
        : flag.values.length > 0
          ? ` -x -a ${quote(flag.values.join(' '))}`
          : ' -r -F';
      lines.push(`complete -c ${program} -n ${quote(typed)} -l ${flag.name}${short}${value} -d ${quote(flag.summary)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}
