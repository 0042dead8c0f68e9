// Loaded before a command of the documentation: its output is what a person at a terminal sees.
for (const stream of [process.stdout, process.stderr]) {
  Object.assign(stream, { isTTY: true, columns: 120, rows: 40, getWindowSize: () => [120, 40] });
}
