"use strict";

// Everything shown is made of elements and text; nothing that a client or an upstream wrote is ever taken for HTML.
const $ = (id) => document.getElementById(id);

function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, does] of Object.entries(value)) node.addEventListener(event, does);
    else if (name === "style") for (const [key, css] of Object.entries(value)) node.style[key] = css;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined).map((c) => (c instanceof Node ? c : String(c))));
  return node;
}

function svg(tag, props, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props || {})) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// New children, and the focus where it was.
function fill(node, children) {
  const active = document.activeElement;
  const key = node.contains(active) ? active.dataset.key : undefined;
  node.replaceChildren(...children);
  if (key !== undefined) {
    const again = [...node.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key);
    if (again) again.focus({ preventScroll: true });
  }
}

const none = "–";
const numbers = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const num = (n) => (n === null || n === undefined ? none : numbers.format(n));
const brief = (n) => (n === null || n === undefined ? none : Math.abs(n) < 10000 ? numbers.format(n) : short.format(n));
const share = (n) => (n === null || n === undefined ? none : `${numbers.format(n * 100)} %`);
const usd = (n) => (n === null || n === undefined ? none : `$${n >= 1 ? n.toFixed(2) : n === 0 ? "0" : n.toPrecision(2)}`);
const clock = (t) => new Date(t * 1000).toLocaleTimeString("en-GB");
const moment = (t) => new Date(t * 1000).toLocaleString("en-GB");
function ms(n) {
  if (n === null || n === undefined) return none;
  if (n < 1000) return `${n < 10 ? n.toFixed(1) : Math.round(n)} ms`;
  return n < 60000 ? `${(n / 1000).toFixed(n < 10000 ? 2 : 1)} s` : `${(n / 60000).toFixed(1)} min`;
}
const td = (text, kind) => el("td", { class: kind }, text);
const right = (text, kind) => td(text, kind ? `n ${kind}` : "n");
const emptyRow = (span, text) => el("tr", { class: "empty" }, el("td", { colspan: span }, text));
const announce = (text) => { $("said").textContent = text; };

// ------------------------------------------------------------------------------------------------ asking

let key = sessionStorage.getItem("key") || "";
let admitted = false;  // until then one panel asks for all
class Refused extends Error {}
class Lost extends Error {}
const here = location.pathname.replace(/\/+$/, "");  // a reverse proxy may serve us below a path of its own

async function ask(path, method = "GET") {
  const headers = key ? { "x-api-key": key } : {};
  const reply = await fetch(`${here}/${path}`, { method, cache: "no-store", headers }).catch(() => { throw new Lost("the proxy does not answer"); });
  if (reply.status === 401) throw new Refused(key ? (await reply.json()).error.message : "");
  if (reply.status === 403) throw new Refused((await reply.json()).error.message);
  if (!reply.ok) throw new Error((await reply.json()).error.message);
  return reply.json();
}

function askForKey(why) {
  if ($("ask").open) return;
  $("ask-why").textContent = why;
  $("ask").showModal();
}
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("key").value.trim();
  sessionStorage.setItem("key", key);
  $("key").value = "";
  $("ask").close();
  admitted = false;
  round();
});

// -------------------------------------------------------------------------------------------------- now

function tile(name, value, more, kind) {
  return el("div", {}, el("dt", {}, name), el("dd", { class: kind }, value, more ? el("small", {}, more) : null));
}

function showNow(said) {
  const late = (p) => `p95 ${ms(p.p95)}, p99 ${ms(p.p99)}`;
  fill($("tiles"), [
    tile("Requests / s", num(said.requests_per_s), `${num(said.requests)} in ${said.window_s} s`),
    tile("Active streams", num(said.streams), `${num(said.open)} requests open, ${num(said.waiting)} waiting`),
    tile("First token, p50", ms(said.first_ms.p50), late(said.first_ms)),
    tile("Total, p50", ms(said.total_ms.p50), late(said.total_ms)),
    tile("Tokens out / s", brief(said.output_per_s), `${brief(said.input_per_s)} in / s`),
    tile("Errors", share(said.error_share), `${num(said.retries)} retries, ${num(said.left)} clients left`, said.error_share > 0.05 ? "bad" : ""),
    tile("Pool", `${num(said.pool.in_flight)} / ${num(said.pool.limit)}`, `${share(said.pool.reused_share)} of connections reused`),
    tile("Prompt cache", share(said.prompt_cache_share), "of prompt tokens read from it"),
  ]);
  const odd = said.workers < said.workers_meant ? `, ${said.workers} of ${said.workers_meant} workers answer` : said.workers > 1 ? `, ${said.workers} workers` : "";
  const lost = said.log_lines_lost ? `, ${num(said.log_lines_lost)} log lines lost` : "";
  state(said.stage === "serving" && !lost ? "ok" : "bad", `${said.stage} since ${moment(said.since)}${odd}${lost}`);
}

function state(kind, text) {
  if ($("state").textContent === text) return;
  $("state").className = kind;
  $("state").textContent = text;
}

// ------------------------------------------------------------------------------------------- time series

const charts = [
  { name: "Requests / s", lines: [["requests_per_s", "all"]], area: true, show: num },
  { name: "Errors in 5 s", lines: [["errors", "errors"]], area: true, show: num },
  { name: "First token", lines: [["first_p50", "p50"], ["first_p95", "p95"]], gaps: true, show: ms },
  { name: "Total, p95", lines: [["total_p95", "p95"]], gaps: true, show: ms },
  { name: "Tokens / s", lines: [["output_per_s", "out"], ["input_per_s", "in"]], show: brief },
  { name: "Requests in flight", lines: [["streams", "most at once"]], area: true, show: num },
];
const points = new Map();
let minutes = 15, seriesEnd = 0, everyS = 5;

function showSeries(said) {
  everyS = said.every_s;
  for (const point of said.points) points.set(point.t, point);
  for (const t of points.keys()) if (t < said.time - 3600) points.delete(t);
  seriesEnd = Math.floor(said.time / everyS) * everyS;
  fill($("charts"), charts.map(chart));
}

function chart(what) {
  const width = 400, height = 100, left = 2, low = 98, high = 3;
  const times = [];
  for (let t = seriesEnd - minutes * 60; t < seriesEnd; t += everyS) times.push(t);
  const values = what.lines.map(([field]) => times.map((t) => (points.get(t) ? points.get(t)[field] : what.gaps ? null : 0)));
  const most = Math.max(...values.flat().map((v) => v || 0)), top = most || 1;
  const x = (i) => left + (i * (width - 2 * left)) / (times.length - 1);
  const y = (v) => low - (v / top) * (low - high);
  const lines = values.map((row, n) => {
    let path = "", up = false;
    row.forEach((v, i) => {
      if (v === null) { up = false; return; }
      path += `${up ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
      if (!up && what.gaps && (row[i + 1] === null || i + 1 === row.length)) path += "h2";
      up = true;
    });
    return svg("path", { class: n ? "two" : "one", d: path || "M0 0" });
  });
  if (what.area) lines.unshift(svg("path", { class: "area", d: `M${left} ${low}` + values[0].map((v, i) => `L${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join("") + `L${x(times.length - 1)} ${low}Z` }));
  const last = times.length - 1;
  const told = (i) => what.lines.map(([, name], n) => `${name} ${what.show(values[n][i])}`);
  const keys = what.lines.map((_, n) => el("span", { class: n ? "key two" : "key" }));
  const until = el("span", {}, clock(seriesEnd).slice(0, 5));
  const read = (i) => {
    told(i).forEach((text, n) => { keys[n].textContent = text; });
    until.textContent = i === last ? clock(seriesEnd).slice(0, 5) : `at ${clock(times[i])}`;
  };
  read(last);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${what.name}, the last ${minutes} minutes: now ${told(last).join(", ")}, at most ${what.show(most)}` },
  svg("path", { class: "axis", d: `M${left} ${low}H${width - left}` }), ...lines);
  picture.addEventListener("mousemove", (event) => read(Math.max(0, Math.min(last, Math.round((event.offsetX / picture.clientWidth) * last)))));
  picture.addEventListener("mouseleave", () => read(last));
  return el("figure", {}, el("figcaption", {}, el("strong", {}, what.name), el("span", {}, ...keys)), picture,
    el("p", { class: "scale", "aria-hidden": "true" }, el("span", {}, clock(times[0]).slice(0, 5)), el("span", {}, most ? `up to ${what.show(most)}` : "nothing yet"), until));
}

$("span").addEventListener("click", (event) => {
  if (!event.target.dataset.minutes) return;
  minutes = Number(event.target.dataset.minutes);
  for (const button of $("span").children) button.setAttribute("aria-pressed", String(button === event.target));
  if (seriesEnd) fill($("charts"), charts.map(chart));
});

// ---------------------------------------------------------------------------------------------- upstreams

const probed = new Map();

function showUpstreams(said) {
  const worst = { closed: "ok", "half-open": "warn", open: "bad" };
  fill($("upstream-rows"), said.upstreams.flatMap((up) => {
    const name = el("th", { scope: "row" }, up.name, " ", el("small", {}, up.base_url || ""));
    if (up.off) return [el("tr", {}, name, el("td", { colspan: 8, class: "wide" }, `off: ${up.off}`))];
    const button = el("button", { type: "button", "data-key": up.name, on: { click: () => probe(up.name) } }, "Probe", el("span", { class: "unseen" }, ` ${up.name}`));
    const troubled = up.places.filter((place) => place.breaker !== "closed" || place.usable_in_s > 0);
    return [
      el("tr", {}, name, td(up.breaker, worst[up.breaker]), right(num(up.tries)), right(share(up.error_share), up.error_share > 0.05 ? "bad" : ""),
        right(`${ms(up.first_ms.p50)} / ${ms(up.first_ms.p95)}`), right(ms(up.total_ms.p95)), right(`${num(up.busy)} / ${num(up.limit)}`),
        right(num(up.waiting)), el("td", {}, button, " ", probed.get(up.name) || "")),
      ...troubled.map((place) => el("tr", {}, td(`  ${place.name}`, "mono"), td(place.breaker, worst[place.breaker]),
        el("td", { colspan: 7, class: "wide" }, `opened ${place.opened_times} times; ` + (place.usable_in_s > 0 ? `left alone for ${num(place.usable_in_s)} s more` : "may be tried")))),
    ];
  }));
}

async function probe(name) {
  probed.set(name, "asking …");
  try {
    const said = await ask(`probe/${encodeURIComponent(name)}`, "POST");
    probed.set(name, said.ok ? `answers in ${ms(said.ms)}, ${said.models} models` : `no: ${said.why}`);
  } catch (error) {
    probed.set(name, `no: ${error.message}`);
  }
  announce(`${name}: ${probed.get(name)}`);
  due("upstreams");
}

// ----------------------------------------------------------------------------------------------- requests

const rows = new Map();
let latest = 0;

function showRequests(said) {
  for (const row of said.requests) if (!rows.has(row.id)) rows.set(row.id, { row, tr: requestRow(row) });
  if (said.requests.length) latest = Math.max(latest, said.requests[0].time);
  const sorted = [...rows.values()].sort((a, b) => b.row.time - a.row.time);
  for (const old of sorted.splice(500)) rows.delete(old.row.id);
  listRequests(sorted);
}

function listRequests(sorted) {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean), which = $("which").value;
  const fits = ({ row }) => {
    if (which === "failed" && !row.error) return false;
    if (which === "retried" && row.attempts < 2) return false;
    if (which === "left" && row.ended !== "left") return false;
    const text = [row.id, row.client, row.protocol, row.model, row.upstream, row.upstream_model, row.status, row.error, row.operation, row.session].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const shown = sorted.filter(fits);
  $("request-count").textContent = `${shown.length} of the latest ${sorted.length}`;
  fill($("request-rows"), shown.length ? shown.slice(0, 200).map(({ tr }) => tr) : [emptyRow(11, sorted.length ? "none fits the filter" : "none yet: the box at the end of this page has lines to paste into a client")]);
}

function requestRow(row) {
  const kind = row.error ? "bad" : row.ended === "left" ? "warn" : "ok";
  const status = `${row.status || none}${row.error ? ` ${row.error}` : ""}${row.ended === "left" ? " (left)" : ""}${row.attempts > 1 ? ` ×${row.attempts}` : ""}`;
  const open = el("button", { type: "button", class: "link", "data-key": row.id, on: { click: () => story(row.id) } }, clock(row.time), el("span", { class: "unseen" }, " whole story"));
  const task = row.operation === "chat" ? "" : ` (${row.operation})`;
  const tr = el("tr", {}, el("td", {}, open), td(status, kind), td(`${row.model}${task}`), td(row.upstream_model && row.upstream_model !== row.model ? `${row.upstream}/${row.upstream_model}` : row.upstream),
    td(row.client || none), right(ms(row.first_ms)), right(ms(row.total_ms)), right(brief(row.input)),
    el("td", { class: "n" }, brief(row.cached), row.broke ? el("small", { class: "warn" }, ` ${row.broke}`) : null), right(brief(row.output)), right(usd(row.cost)));
  return tr;
}

const relist = () => listRequests([...rows.values()].sort((a, b) => b.row.time - a.row.time));
$("filter").addEventListener("input", relist);
$("which").addEventListener("change", relist);
for (const form of document.querySelectorAll(".filters")) form.addEventListener("submit", (event) => event.preventDefault());

const phaseNames = { receive: "reading the request", queue: "waiting (queue, back-off)", proxy: "the proxy's own work", upstream: "waiting for the upstream", stream: "streaming", client: "the client taking the rest" };

async function story(id) {
  $("story-title").textContent = `Request ${id}`;
  fill($("story-body"), [el("p", {}, "loading")]);
  $("story").showModal();
  try {
    fill($("story-body"), told(await ask(`data/request?id=${encodeURIComponent(id)}`)));
  } catch (error) {
    fill($("story-body"), [el("p", { class: "bad" }, error.message)]);
  }
}

function told(said) {
  const record = said.record, total = record.total_ms || 1;
  const fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  const left = { finished: "got all of it", left: "left before the end", aborted: "was cut off by the proxy" };
  const facts = el("dl", { class: "facts" },
    fact("When", moment(said.time)), fact("Status", `${record.status}${record["error.type"] ? ` ${record["error.type"]}` : ""}`),
    fact("Asked for", `${record["gen_ai.request.model"]} (${record.protocol})`),
    fact("Answered by", record.upstream ? `${record.upstream}/${record.upstream_model} (${record.upstream_protocol})` : "nobody"),
    fact("Client", `${record.client || none} ${left[record.ended]}`), fact("Tries", `${record.attempts}, connection ${record.connection || none}`),
    fact("Tokens", `${num(record["gen_ai.usage.input_tokens"])} in, ${num(record["gen_ai.usage.cache_read.input_tokens"])} of them cached, ${num(record["gen_ai.usage.output_tokens"])} out`),
    fact("Cost", usd(said.cost)), fact("Left out", record.dropped.join(", ") || "nothing"),
    fact("Session", said.session ? `${said.session}${said.change ? `; the cached prefix: ${change(said.change)}` : ""}` : none));
  const fall = el("ol", { class: "fall", "aria-label": "Where the time went" }, ...said.phases.map((phase) => el("li", {},
    el("span", {}, phaseNames[phase.name]),
    el("span", { class: "track" }, el("span", { class: `bar ${phase.name}`, style: { left: `${(100 * phase.at) / total}%`, width: `${(100 * phase.ms) / total}%` } })),
    el("span", { class: "n" }, ms(phase.ms)))));
  const parts = [facts];
  if (record["error.message"]) parts.push(el("p", { class: "bad" }, record["error.message"]));
  if (record.tried.length) parts.push(el("h3", {}, "What was tried before"), el("ol", {}, ...record.tried.map((each) => el("li", {}, `${each.upstream}/${each.model}${each.key > 1 ? ` (key ${each.key})` : ""}: ${each.status} ${each.error}: ${each.message}`))));
  parts.push(el("h3", {}, `Where the time went: ${ms(record.total_ms)}`), fall, el("p", { class: "note" }, "Each bar is the sum of its kind; with several tries they alternated."));
  parts.push(...bodies(said));
  parts.push(el("details", {}, el("summary", {}, "The whole record"), el("pre", { tabindex: 0 }, JSON.stringify(record, null, 2))));
  return parts;
}

function bodies(said) {
  if (!said.bodies) return [el("p", { class: "note" }, said.logs_bodies ? "Its bodies are not kept: too large, too long ago, or not among those that the settings log." : "Bodies are kept, and shown here side by side, where [logging] request_bodies logs them.")];
  const pretty = (text) => { try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; } };
  const side = (title, text) => el("div", {}, el("h3", {}, title), el("pre", { tabindex: 0 }, pretty(text)));
  return [el("div", { class: "pair" }, side(`What the client sent (${said.bodies.protocol})`, said.bodies.original), side(`What went upstream (${said.bodies.upstream_protocol})`, said.bodies.sent))];
}

// ---------------------------------------------------------------------------------- usage, caches, settings

function showUsage(said) {
  const head = (what) => el("tr", {}, el("th", { scope: "col" }, what), ...["Requests", "Errors", "In", "Cached", "Out", "Cost"].map((name) => el("th", { scope: "col", class: "n" }, name)));
  const line = (each) => el("tr", {}, el("th", { scope: "row" }, each.name || "(no [client])"), right(num(each.requests)), right(num(each.errors), each.errors ? "warn" : ""),
    right(brief(each.input)), right(brief(each.cached)), right(brief(each.output)),
    right(each.cost === null ? (each.unpriced ? "unknown" : none) : usd(each.cost) + (each.unpriced ? ` + ${num(each.unpriced)} unknown` : "")));
  const table = (of) => (of.length ? of.map(line) : [emptyRow(7, "nothing yet")]);
  $("usage-since").textContent = `since ${moment(said.since)}`;
  fill($("model-head"), [head("Upstream / model")]);
  fill($("client-head"), [head("Client")]);
  fill($("model-rows"), table(said.models));
  fill($("client-rows"), table(said.clients));
  $("prices").textContent = `Prices in USD: [prices] of the settings, else ${said.prices.source}, of ${said.prices.date}. A model that neither knows has no cost; that is not 0.`;
}

function change(each) {
  const who = each.tool ? ` (${each.tool})` : each.role ? ` (${each.role})` : "";
  if (each.where === "nothing") return `nothing changed, but ${Math.round(each.idle_s / 60)} min had passed`;
  return `${each.where}${who} ${each.what}${each.of ? `, of ${each.of}` : ""}`;
}

function showCache(said) {
  $("cache-note").textContent = "A cache hits as far as a prompt begins like the one before: tools, then system, then messages. " +
    (said.parses ? "Requests that pass through untouched are looked at too." : "Of requests that pass through untouched only the share is known; [logging] cache_watch = true looks into them as well.");
  fill($("cache-rows"), said.sessions.length ? said.sessions.map((each) => el("tr", {}, el("th", { scope: "row", class: "mono" }, each.session), td(each.client || none), td(each.model),
    right(num(each.requests)), right(brief(each.prompt)), right(share(each.hit)), right(share(each.last_hit)),
    el("td", { class: "wide" }, each.changes.length ? each.changes.slice(-3).reverse().map((c) => `${clock(c.time)} ${change(c)}`).join("; ") : each.looked ? "nothing" : "not looked into"))) : [emptyRow(8, "no session yet: clients name theirs by a header or in the request")]);
}

let values = [];
function showSettings(said) {
  values = said.values;
  $("settings-file").textContent = said.file;
  const of = said.reloaded;
  $("reloaded").className = of && !of.taken ? "bad" : "note";
  $("reloaded").textContent = !of ? "Not changed since the start." : of.taken
    ? `Changed ${moment(of.time)}: ${of.changed.join(", ") || "nothing"}.${of.restart.length ? ` Needs a restart: ${of.restart.join(", ")}.` : ""}`
    : `${moment(of.time)}: a change was not taken, the settings of before stay in force. ${of.why.join(" · ")}`;
  listSettings();
}

function listSettings() {
  const word = $("settings-filter").value.toLowerCase(), all = $("settings-all").checked;
  const fits = (v) => (all || word || v.origin !== "default") && `${v.section} ${v.key} ${v.value}`.toLowerCase().includes(word);
  fill($("settings-rows"), values.filter(fits).map((v) => el("tr", {}, td(v.section), td(v.key, "mono"), td(v.value, "wide mono"), td(v.origin))));
}
$("settings-filter").addEventListener("input", listSettings);
$("settings-all").addEventListener("change", listSettings);

function showConnect(said) { $("lines").textContent = said.lines.join("\n"); }
$("copy").addEventListener("click", async () => {
  try { await navigator.clipboard.writeText($("lines").textContent); announce("copied"); $("copy").textContent = "Copied"; }
  catch { getSelection().selectAllChildren($("lines")); announce("selected: copy it with Ctrl-C"); }
});

// -------------------------------------------------------------------------------------------------- rounds

const panels = [
  { name: "now", every: 2, show: showNow },
  { name: "series", every: 5, show: showSeries, path: () => (points.size ? `series?since=${seriesEnd - 15}` : "series") },
  { name: "upstreams", every: 5, show: showUpstreams },
  { name: "requests", every: 2, show: showRequests, path: () => `requests?limit=500&since=${Math.max(0, latest - 3)}`, held: () => $("pause").checked },
  { name: "usage", every: 5, show: showUsage },
  { name: "cache", every: 5, show: showCache },
  { name: "settings", every: 10, show: showSettings },
  { name: "connect", every: 3600, show: showConnect, path: () => `connect?public_url=${encodeURIComponent(location.origin + here.replace(/\/dashboard$/, ""))}` },
].map((panel) => ({ due: 0, busy: false, ...panel }));

function due(name) { panels.find((panel) => panel.name === name).due = 0; round(); }

async function one(panel, now) {
  panel.busy = true;
  panel.due = now + panel.every * 1000;
  try {
    const said = await ask(`data/${panel.path ? panel.path() : panel.name}`);
    if (!admitted) {
      admitted = true;
      for (const each of panels) each.due = 0;
    }
    panel.show(said);
  } catch (error) {
    if (error instanceof Refused) {
      askForKey(error.message);
      panel.due = 0;
    } else state("bad", error instanceof Lost ? "the proxy does not answer; what is shown is from before" : error.message);
  } finally {
    panel.busy = false;
  }
}

function round() {
  if (document.hidden || $("ask").open) return;
  const now = Date.now();
  for (const panel of admitted ? panels : panels.slice(0, 1)) {
    if (!panel.busy && panel.due <= now && !(panel.held && panel.held())) one(panel, now);
  }
}
document.addEventListener("visibilitychange", round);
setInterval(round, 500);
round();
