// Draws the rows of the table as plots, and draws them again when the rows change.
"use strict";

{
  const DASH = [5, 4];
  const NICE = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400, 604800];
  const WHOLE = [1, 2, 5].flatMap((digit) => [0, 1, 2, 3, 4, 5, 6].map((power) => digit * 10 ** power)).sort((a, b) => a - b);
  const rows = document.getElementById("buckets");
  const plots = new Map();

  const round = (number) => String(+number.toFixed(2));

  function length(seconds) {
    if (seconds === 0) return "0";
    if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 60) return `${round(seconds)} s`;
    if (seconds < 3600) return `${round(seconds / 60)} min`;
    return seconds < 86400 ? `${round(seconds / 3600)} h` : `${round(seconds / 86400)} d`;
  }

  function moment(at, step) {
    const shown = new Date(at * 1000);
    if (step >= 86400) return day(shown).slice(5);
    return step >= 60 ? hour(shown).slice(0, 5) : hour(shown);
  }

  // The columns of the table; the first one has the middle of each interval.
  function read() {
    const columns = Array.from({ length: 9 }, () => []);
    for (const row of rows.rows)
      for (const [number, column] of columns.entries()) {
        const { value } = row.cells[number].dataset;
        column.push(value === undefined ? null : Number(value));
      }
    const width = Number(document.getElementById("width").dataset.seconds);
    columns[0] = columns[0].map((at) => at + width / 2);
    return { columns, width };
  }

  // The bars are stacked.
  function stacked(columns) {
    let sum = columns[0].map(() => 0);
    return columns.map((column) => (sum = sum.map((below, at) => below + column[at])));
  }

  // Whole pixels, so that no edge is blurred.
  function rectangles({ data, valToPos }, number, from, to) {
    const fill = new Path2D();
    const pixel = (value, scale) => Math.round(valToPos(value, scale, true));
    const half = (data[0][1] - data[0][0]) / 2;
    for (let at = from; at <= to; at++) {
      const [left, right] = [pixel(data[0][at] - half, "x"), pixel(data[0][at] + half, "x")];
      const [top, bottom] = [pixel(data[number][at], "y"), pixel(number > 1 ? data[number - 1][at] : 0, "y")];
      if (top < bottom) fill.rect(left, top, Math.max(right - left - 1, 1), bottom - top);
    }
    return { fill, stroke: fill };
  }

  function series(figure, bars) {
    const drawn = [...figure.querySelectorAll(".key")].map((key) => {
      const colour = getComputedStyle(key).color;
      const dashed = key.classList.contains("dashed");
      return bars
        ? { fill: colour, width: 0, points: { show: false }, paths: rectangles }
        : { stroke: colour, width: dashed ? 1 : 2, dash: dashed ? DASH : [], spanGaps: true, points: { show: !dashed, size: 5, fill: colour } };
    });
    return [{}, ...drawn];
  }

  function draw(figure) {
    const { columns, width } = read();
    const bars = figure.dataset.plot === "bars";
    const canvas = figure.querySelector(".canvas");
    const values = [...figure.querySelectorAll("[data-column]")];
    const chosen = values.map((value) => columns[value.dataset.column]);
    const data = [columns[0], ...(bars ? stacked(chosen) : chosen)];
    const say = (index) => {
      for (const [number, value] of values.entries()) {
        const given = index == null ? null : chosen[number][index];
        set(value, given == null ? "" : bars ? given.toLocaleString("en") : length(given));
      }
      set(figure.querySelector(".at"), index == null ? "" : `${moment(columns[0][index] - width / 2, width)}`);
    };
    plots.get(figure)?.destroy();
    if (!columns[0].length) return plots.delete(figure);
    const { color, fontFamily } = getComputedStyle(canvas);
    const axis = { stroke: color, font: `12px ${fontFamily}`, grid: { stroke: getComputedStyle(figure).borderTopColor, width: 1 }, ticks: { show: false } };
    const plot = new uPlot(
      {
        width: canvas.clientWidth,
        height: canvas.clientHeight,
        padding: [8, 26, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { show: !bars }, sync: { key: "overview" } },
        scales: {
          x: { range: () => [columns[0][0] - width / 2, columns[0].at(-1) + width / 2] },
          y: { range: (_, low, high) => [0, (high || 1) * 1.05] },
        },
        axes: [
          { ...axis, grid: { show: false }, size: 28, space: 80, values: (_, marks, __, ___, step) => marks.map((at) => moment(at, step)) },
          { ...axis, size: 52, space: 36, incrs: bars ? WHOLE : NICE, values: (_, marks) => marks.map((mark) => (bars ? mark.toLocaleString("en") : length(mark))) },
        ],
        series: series(figure, bars),
        hooks: { setCursor: [({ cursor }) => say(cursor.idx)] },
      },
      data,
      canvas,
    );
    plots.set(figure, plot);
  }

  let due = false;
  function again() {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      document.querySelectorAll("figure[data-plot]").forEach(draw);
    });
  }

  new MutationObserver(again).observe(rows, { childList: true, subtree: true, attributeFilter: ["data-value"] });
  new ResizeObserver(again).observe(document.querySelector(".plots"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
}
