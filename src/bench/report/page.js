// The script of the report's page: draws what it is given (drawing.ts) with uPlot and on canvases. It runs from the file
// itself, without a network, under a policy that allows this text alone; it reads data and never makes markup of it.

(() => {
  /** @typedef {import('./drawing.js').Drawing} Drawing */
  /** @typedef {import('./drawing.js').Chart} Chart */
  /** @typedef {import('./drawing.js').HeatMap} HeatMap */
  /** @typedef {import('./drawing.js').Unit} Unit */
  /** @typedef {{ side: string, name: string, connections: number, cpu: number[], loop: number[] }} Process */

  const uPlot = /** @type {typeof import('uplot')} */ (/** @type {any} */ (globalThis)['uPlot']);
  const root = document.documentElement;

  /** @param {string} id */
  const textOf = (id) => document.getElementById(id)?.textContent ?? '';
  /** @type {Drawing} */
  const drawing = JSON.parse(textOf('drawing'));
  /** @type {{ processes: Process[] }} */
  const result = JSON.parse(textOf('result'));

  /** The page's colours as they are now: light, dark or for paper. @param {string} name */
  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

  /** @param {number} value */
  const digits = (value) => String(Number(value.toPrecision(3)));

  /** About three digits and the unit. @param {Unit} unit @param {number | null | undefined} value */
  const written = (unit, value) => {
    if (value === null || value === undefined) return '–';
    /** @param {[number, string][]} steps */
    const scaled = (steps) => {
      const [one, sign] = steps.find(([least]) => Math.abs(value) >= least) ?? [1, ''];
      return `${digits(value / one)}${sign}`;
    };
    const thousands = scaled([[1e9, ' G'], [1e6, ' M'], [1e3, ' k']]); // biome-ignore format: a table
    switch (unit) {
      case 'count':
        return thousands;
      case 'perSecond':
        return `${thousands}/s`;
      case 'ms':
        return value >= 1_000 ? `${digits(value / 1_000)} s` : `${digits(value)} ms`;
      case 'bytes':
        return value < 1_024 ? `${digits(value)} B` : scaled([[2 ** 30, ' GiB'], [2 ** 20, ' MiB'], [2 ** 10, ' KiB']]); // biome-ignore format: a table
      case 'share':
        return `${digits(value * 100)} %`;
      default:
        return digits(value);
    }
  };

  /** Steps of an axis in bytes: 256 MiB rather than 250 MB. */
  const binary = Array.from({ length: 45 }, (_, at) => 2 ** at);

  /** Bands of the run's phases behind the lines, with their names. @param {import('uplot')} plot */
  const drawBands = (plot) => {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.font = `${10 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = 'left';
    ctx.textBaseline = 'top';
    for (const [at, { from, to, phase }] of drawing.bands.entries()) {
      const left = Math.max(bbox.left, plot.valToPos(from, 'x', true));
      const width = Math.min(bbox.left + bbox.width, plot.valToPos(to, 'x', true)) - left;
      if (width <= 0) continue;
      if (at % 2 === 0) {
        ctx.fillStyle = colour('band');
        ctx.fillRect(left, bbox.top, width, bbox.height);
      }
      if (ctx.measureText(phase).width + 8 * ratio > width) continue;
      ctx.fillStyle = colour('muted');
      ctx.fillText(phase, left + 4 * ratio, bbox.top + 3 * ratio);
    }
    ctx.restore();
  };

  /** `99.9 %` for 3 tenths. @param {number} tenths */
  const percentile = (tenths) =>
    tenths < 1e-9 ? '0 %' : `${(100 - 100 / 10 ** tenths).toFixed(Math.max(0, Math.ceil(tenths) - 2))} %`;

  /** @param {Chart} chart @param {number} width @returns {import('uplot').Options} */
  const optionsOf = (chart, width) => {
    const isOverTime = chart.along === 'seconds';
    // Charts over the whole run share a cursor and a zoom; that of the connections ends before the others begin.
    const isShared = isOverTime && (chart.x.at(-1) ?? 0) >= (drawing.bands.at(-1)?.from ?? 0);
    /** @param {Unit} unit @param {boolean} right @returns {import('uplot').Axis} */
    const yAxis = (unit, right) => ({
      scale: right ? 'right' : 'y',
      side: right ? 1 : 3,
      stroke: colour('muted'),
      grid: { show: !right, stroke: colour('grid'), width: 1 },
      ticks: { show: false },
      size: 62,
      space: 34,
      ...(unit === 'bytes' ? { incrs: binary } : {}),
      values: (_plot, splits) => splits.map((value) => (value === null ? '' : written(unit, value))),
    });
    /** From nothing to a little more than the most. @param {Unit} unit @returns {import('uplot').Scale.Range} */
    const range = (unit) => (_plot, _least, most) => [0, unit === 'share' ? 1 : most > 0 ? most * 1.12 : 1];
    const shown = (/** @type {number} */ at) =>
      (at > 0 && chart.lines[at - 1]?.right ? chart.rightUnit : chart.unit) ?? chart.unit;
    return {
      width,
      height: width < 480 ? 200 : 240,
      padding: [8, chart.rightUnit !== undefined ? 0 : isOverTime ? 14 : 38, 0, 0],
      cursor: { drag: { x: true, y: false }, ...(isShared ? { sync: { key: 'seconds', scales: ['x', null] } } : {}) },
      scales: {
        x: { time: false },
        y: chart.log ? { distr: 3 } : { range: range(chart.unit) },
        ...(chart.rightUnit === undefined ? {} : { right: { range: range(chart.rightUnit) } }),
      },
      axes: [
        {
          stroke: colour('muted'),
          grid: { stroke: colour('grid'), width: 1 },
          ticks: { show: false },
          size: 30,
          ...(isOverTime ? {} : { incrs: [1] }),
          values: (_plot, splits) => splits.map((value) => (isOverTime ? `${value} s` : percentile(value))),
        },
        yAxis(chart.unit, false),
        ...(chart.rightUnit === undefined ? [] : [yAxis(chart.rightUnit, true)]),
      ],
      series: [
        {
          label: isOverTime ? 'at' : 'faster',
          value: (_plot, value) => (value === null ? '–' : isOverTime ? `${value} s` : percentile(value)),
        },
        ...chart.lines.map((line, at) => ({
          label: line.label,
          scale: line.right ? 'right' : 'y',
          stroke: colour(`c${line.colour}`),
          width: line.dashed ? 1.25 : 1.75,
          ...(line.dashed ? { dash: [6, 4] } : {}),
          ...(line.fill ? { fill: `color-mix(in srgb, ${colour(`c${line.colour}`)} 14%, transparent)` } : {}),
          points: { show: false },
          value: (/** @type {unknown} */ _plot, /** @type {number | null} */ value) => written(shown(at + 1), value),
        })),
      ],
      hooks: { drawClear: isOverTime ? [drawBands] : [] },
    };
  };

  /** @param {Chart} chart @param {HTMLElement} place */
  const drawLines = (chart, place) => {
    const least = 0.1;
    const values = chart.lines.map((line) => {
      return line.values.map((value) => (value !== null && chart.log ? Math.max(least, value) : value));
    });
    const data = /** @type {import('uplot').AlignedData} */ (/** @type {unknown} */ ([chart.x, ...values]));
    new uPlot(optionsOf(chart, place.clientWidth), data, place);
  };

  /** The colour of a share of the most, between five stops. @param {number} share @param {number[][]} stops */
  const shade = (share, stops) => {
    const at = Math.min(1, Math.max(0, share)) * (stops.length - 1);
    const low = stops[Math.floor(at)] ?? [0, 0, 0];
    const high = stops[Math.ceil(at)] ?? low;
    return low.map((part, channel) => Math.round(part + ((high[channel] ?? part) - part) * (at % 1)));
  };

  /** @returns {number[][]} */
  const stopsNow = () =>
    [0, 1, 2, 3, 4].map((at) => {
      const hex = Number.parseInt(colour(`heat${at}`).slice(1), 16);
      return [(hex >> 16) & 255, (hex >> 8) & 255, hex & 255];
    });

  /** @param {string} tag @param {string} name @param {HTMLElement} parent @param {string} [text] */
  const append = (tag, name, parent, text = '') => {
    const element = document.createElement(tag);
    element.className = name;
    element.textContent = text;
    parent.append(element);
    return element;
  };

  /** One canvas a block: a pixel a value, stretched. @param {HeatMap} map @param {HTMLElement} place */
  const drawHeat = (map, place) => {
    const stops = stopsNow();
    const rowsOf = (/** @type {string} */ side) => result.processes.filter((one) => one.side === side);
    const all = map.blocks.reduce((sum, { side }) => sum + rowsOf(side).length, 0);
    const height = Math.min(18, Math.max(4, Math.floor(480 / Math.max(1, all))));
    for (const { side, of, label, unit, max } of map.blocks) {
      const rows = rowsOf(side);
      const columns = rows.reduce((most, row) => Math.max(most, row[of].length), 1);
      const pixels = new OffscreenCanvas(columns, rows.length);
      const context = /** @type {OffscreenCanvasRenderingContext2D} */ (pixels.getContext('2d'));
      const image = context.createImageData(columns, rows.length);
      for (const [y, row] of rows.entries()) {
        for (const [x, value] of row[of].entries()) {
          image.data.set([...shade(max > 0 ? value / max : 0, stops), 255], (y * columns + x) * 4);
        }
      }
      context.putImageData(image, 0, 0);

      const head = append('div', 'heat-head', place);
      append('span', 'heat-label', head, `${label} · ${rows.length} ${rows.length === 1 ? 'process' : 'processes'}`);
      const scale = append('span', 'heat-scale', head);
      append('span', '', scale, '0');
      append('span', 'heat-bar', scale);
      append('span', '', scale, written(unit, max));
      const canvas = /** @type {HTMLCanvasElement} */ (append('canvas', 'heat', place));
      const said = append('p', 'heat-said', place, '\u00a0');
      canvas.style.height = `${rows.length * height}px`;
      canvas.width = place.clientWidth * devicePixelRatio;
      canvas.height = rows.length * height * devicePixelRatio;
      const target = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
      target.imageSmoothingEnabled = false;
      target.drawImage(pixels, 0, 0, canvas.width, canvas.height);
      canvas.addEventListener('mousemove', ({ offsetX, offsetY }) => {
        const row = rows[Math.floor(offsetY / height)];
        const second = Math.floor((offsetX / canvas.clientWidth) * columns);
        if (row === undefined) return;
        said.textContent = `${row.name}, ${row.connections} connections, second ${second + 1}: ${written(unit, row[of][second])}`;
      });
      canvas.addEventListener('mouseleave', () => {
        said.textContent = '\u00a0';
      });
    }
  };

  const drawAll = () => {
    for (const chart of drawing.charts) {
      const place = document.querySelector(`#chart-${chart.id} .plot`);
      if (!(place instanceof HTMLElement)) continue;
      place.replaceChildren();
      if (chart.kind === 'lines') drawLines(chart, place);
      else drawHeat(chart, place);
    }
  };

  // Drawn for the width there is: when the page is first laid out, and whenever that changes.
  let drawnFor = 0;
  new ResizeObserver(() => {
    const place = document.querySelector('.plot');
    if (place === null || place.clientWidth === drawnFor) return;
    drawnFor = place.clientWidth;
    requestAnimationFrame(drawAll);
  }).observe(document.body);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
  // Paper is light, and narrower than most windows.
  addEventListener('beforeprint', () => {
    root.dataset['print'] = '';
    drawAll();
  });
  addEventListener('afterprint', () => {
    delete root.dataset['print'];
    drawAll();
  });

  const save = document.getElementById('save');
  if (save instanceof HTMLAnchorElement) {
    save.href = URL.createObjectURL(new Blob([textOf('result')], { type: 'application/json' }));
    save.hidden = false;
  }
})();
