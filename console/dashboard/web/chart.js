"use strict";

// One chart: uPlot's axes, lines and crosshair, and a caption that reads the values out. The crosshair is that of all
// charts. Mouse, finger and arrow keys move it; a refresh leaves it where it is.
const crosshair = uPlot.sync("time");
const allCharts = new Set();
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const PLOT_PX = 150, AXIS_PX = 58;
let pinned = null;  // the time that finger or keys have chosen

// what: { name, lines: [{ name, field, show, ink, scale?, fill? }], stacked?, step? }. step: seconds that each value is of, where that is
// to be read. range: () => [from, until].
function makeChart(home, what, range) {
  const keys = what.lines.map((each) => el("span", { class: `key ${each.ink}` }));
  const at = el("span", { class: "at" });
  const plot = el("div", { class: "plot", role: "slider", tabindex: 0, "aria-label": `${what.name}: the time whose values are read out`, "aria-valuemin": 0, "aria-valuemax": 0, "aria-valuenow": 0 });
  home.append(el("figure", {}, el("figcaption", {}, el("strong", {}, what.name), at, el("span", { class: "keys" }, ...keys)), plot));
  const scales = [...new Set(what.lines.map((each) => each.scale || "y"))];
  const showOn = (scale) => what.lines.find((each) => (each.scale || "y") === scale).show;
  const u = new uPlot({
    width: Math.max(200, plot.clientWidth), height: PLOT_PX, legend: { show: false }, padding: [8, scales.length > 1 ? 0 : 20, 0, 0],
    cursor: { sync: { key: crosshair.key, setSeries: false, scales: ["x", null] }, y: false, drag: { x: false, y: false }, points: { size: 7 } },
    tzDate: (t) => uPlot.tzDate(new Date(t * 1000), utc ? "Etc/UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone),
    scales: Object.fromEntries([["x", { time: true, range }], ...scales.map((scale) => [scale, { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] }])]),
    axes: [
      axis({ values: (_, ticks, __, ___, step) => ticks.map((t) => timeMark(t, step)), size: 30, space: 64 }),
      ...scales.map((scale, n) => axis({ scale, side: n ? 1 : 3, size: AXIS_PX, space: 28, grid: { show: !n, stroke: () => ink("--line"), width: 1 }, values: (_, ticks) => ticks.map((v) => showOn(scale)(v)) })),
    ],
    series: [{}, ...what.lines.map((each) => ({
      label: each.name, scale: each.scale || "y", width: 1.6, stroke: () => ink(`--${each.ink}`), fill: what.stacked ? () => ink(`--${each.ink}`) : each.fill ? () => `${ink(`--${each.ink}`)}22` : undefined,
      dash: each.dash, paths: what.stacked ? uPlot.paths.bars({ size: [0.9, 60], align: 1 }) : undefined,
      points: what.stacked ? { show: false } : { show: true, size: 4, width: 1, filter: lonely },
    }))],
    hooks: { setCursor: [read] },
  }, [[]], plot);
  let told = [], times = [];

  function read() {
    const last = times.length - 1, found = u.cursor.idx, i = unknown(found) ? last : found;
    if (i < 0) return;
    what.lines.forEach((each, n) => { const text = `${each.name} ${each.show(told[n][i])}`; if (keys[n].textContent !== text) keys[n].textContent = text; });
    const t = times[i];
    at.textContent = what.step ? `${day(t)}, ${minute(t)}–${minute(t + what.step)} ${zoneOf(t)}` : unknown(found) ? `until ${minute(t)} ${zoneOf(t)}` : `at ${clock(t)} ${zoneOf(t)}`;
    plot.setAttribute("aria-valuemax", last);
    plot.setAttribute("aria-valuenow", i);
    plot.setAttribute("aria-valuetext", `${at.textContent}: ${keys.map((each) => each.textContent).join(", ")}`);
  }

  function goTo(time) {
    pinned = time;
    u.setCursor(time === null ? { left: -10, top: -10 } : { left: u.valToPos(time, "x"), top: 20 }, true, true);
  }

  plot.addEventListener("keydown", (event) => {
    const last = times.length - 1, now = unknown(u.cursor.idx) ? last : u.cursor.idx, far = event.shiftKey ? 12 : 1;
    const to = { ArrowLeft: now - far, ArrowDown: now - far, ArrowRight: now + far, ArrowUp: now + far, PageUp: now + 12, PageDown: now - 12, Home: 0, End: last }[event.key];
    if (event.key === "Escape") goTo(null);
    else if (to === undefined || last < 0) return;
    else goTo(times[Math.max(0, Math.min(last, to))]);
    event.preventDefault();
  });
  const touched = (event) => {
    if (event.pointerType === "mouse" || !times.length) return;
    const left = event.clientX - u.over.getBoundingClientRect().left;
    goTo(times[u.posToIdx(Math.max(0, Math.min(u.over.clientWidth, left)))]);
  };
  u.over.addEventListener("pointerdown", touched);
  u.over.addEventListener("pointermove", touched);
  u.over.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") pinned = null; });
  new ResizeObserver(() => u.setSize({ width: Math.max(200, plot.clientWidth), height: PLOT_PX })).observe(plot);

  // rows: the values of each line, as they are read out. Stacked, each line is drawn on top of those after it.
  const chart = {
    update(xs, rows) {
      times = xs;
      told = rows;
      u.setData([xs, ...(what.stacked ? stack(rows) : rows)]);
      const [from, until] = range();  // uPlot's own scale follows later
      if (pinned !== null && pinned >= from) u.setCursor({ left: ((pinned - from) / (until - from)) * u.over.clientWidth, top: 20 }, true, false);
      read();
    },
    letGo() { u.setCursor({ left: -10, top: -10 }, true, false); },
    redraw() { u.redraw(false, true); read(); },
    remove() { allCharts.delete(chart); u.destroy(); },
  };
  allCharts.add(chart);
  return chart;
}

const axis = (more) => ({ stroke: () => ink("--muted"), font: '11px system-ui, "DejaVu Sans", sans-serif', grid: { show: false }, ticks: { stroke: () => ink("--line"), width: 1, size: 4 }, ...more });
const timeMark = (t, step) => (step >= 3600 && minute(t) === "00:00" ? day(t) : step < 60 ? clock(t) : minute(t));

// A value between gaps has no line to be seen by: it gets a dot.
function lonely(u, n) {
  const row = u.data[n];
  return row.flatMap((v, i) => (!unknown(v) && unknown(row[i - 1]) && unknown(row[i + 1]) ? [i] : []));
}

function stack(rows) {
  const sums = [];
  for (let n = rows.length - 1; n >= 0; n--) sums[n] = rows[n].map((v, i) => v + (n + 1 < rows.length ? sums[n + 1][i] : 0));
  return sums;
}

// A finger elsewhere lets go of the time.
document.addEventListener("pointerdown", (event) => {
  if (event.pointerType === "mouse" || event.target.closest(".plot")) return;
  pinned = null;
  for (const chart of allCharts) chart.letGo();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const chart of allCharts) chart.redraw(); });
zoneChanged.push(() => { for (const chart of allCharts) chart.redraw(); });
