"use strict";

// The charts of the last minutes, up to an hour.
const liveCharts = [
  { name: "Requests / s", lines: [{ name: "streams", field: "streams_per_s", show: num, ink: "one", fill: true }, { name: "whole", field: "replies_per_s", show: num, ink: "two" }] },
  { name: "Errors in 5 s", lines: [{ name: "4xx", field: "client_errors", show: num, ink: "two" }, { name: "5xx, broken", field: "server_errors", show: num, ink: "bad", fill: true }, { name: "refused here", field: "refusals", show: num, ink: "one" }] },
  { name: "Streams: first token", gaps: true, lines: [{ name: "p50", field: "first_p50", show: ms, ink: "one" }, { name: "p95", field: "first_p95", show: ms, ink: "two" }] },
  { name: "Streams: all of it", gaps: true, lines: [{ name: "p50", field: "stream_p50", show: ms, ink: "one" }, { name: "p95", field: "stream_p95", show: ms, ink: "two" }] },
  { name: "Whole replies: time", gaps: true, lines: [{ name: "p50", field: "whole_p50", show: ms, ink: "one" }, { name: "p95", field: "whole_p95", show: ms, ink: "two" }] },
  { name: "Tokens / s", lines: [{ name: "out (left)", field: "output_per_s", show: brief, ink: "one" }, { name: "in (right)", field: "input_per_s", show: brief, ink: "two", scale: "in" }] },
  { name: "In flight, the most at once", lines: [{ name: "all", field: "open", show: num, ink: "one", fill: true }, { name: "streaming", field: "streams", show: num, ink: "two" }, { name: "in the queue", field: "waiting", show: num, ink: "bad" }] },
  { name: "Cost / min", lines: [{ name: "known prices", field: "usd_per_min", show: usd, ink: "one", fill: true }] },
];
const points = new Map();
let minutes = 15, seriesEnd = Math.floor(Date.now() / 5000) * 5, everyS = 5;

const liveRange = () => [seriesEnd - minutes * 60, seriesEnd];
for (const what of liveCharts) what.chart = makeChart($("charts"), what, liveRange);

function showSeries(said) {
  everyS = said.every_s;
  for (const point of said.points) points.set(point.t, point);
  for (const t of points.keys()) if (t < said.time - 3600) points.delete(t);
  seriesEnd = Math.floor(said.time / everyS) * everyS;
  drawSeries();
}

function drawSeries() {
  const times = [];
  for (let t = seriesEnd - minutes * 60; t < seriesEnd; t += everyS) times.push(t);
  for (const what of liveCharts) {
    what.chart.update(times, what.lines.map((each) => times.map((t) => (points.has(t) ? points.get(t)[each.field] : what.gaps ? null : 0))));
  }
}

on($("span"), "click", "button", (button) => {
  minutes = Number(button.dataset.minutes);
  press(button);
  if (points.size) drawSeries();
});

function press(button) {
  for (const each of button.parentElement.querySelectorAll("button")) each.setAttribute("aria-pressed", String(each === button));
}
