"use strict";

// The last minute, in numbers; and in the header what the proxy is doing.
function tile(name, value, more, kind) {
  return el("div", {}, el("dt", {}, name), el("dd", { class: kind }, value, el("small", {}, more)));
}

function showNow(said) {
  const late = (p) => `p95 ${ms(p.p95)}, p99 ${ms(p.p99)}`;
  const pool = said.pool;
  morph($("tiles"), [
    tile("Requests / s", num(said.requests_per_s), `${num(said.requests)} in ${said.window_s} s`),
    tile("In flight", num(said.open), `${num(said.streams)} streams, ${num(said.waiting)} waiting`),
    tile("First token, p50", ms(said.first_ms.p50), late(said.first_ms)),
    tile("Whole stream, p50", ms(said.stream_ms.p50), late(said.stream_ms)),
    tile("Whole reply, p50", ms(said.whole_ms.p50), late(said.whole_ms)),
    tile("Tokens out / s", brief(said.output_per_s), `${brief(said.input_per_s)} in / s`),
    tile("Errors", share(said.error_share), `4xx ${num(said.client_errors)}, 5xx ${num(said.server_errors)}, here ${num(said.refusals)}; ${num(said.retries)} retries, ${num(said.left)} left`, said.error_share > 0.05 ? "bad" : ""),
    tile("Connections", `${num(pool.in_flight)} / ${num(pool.limit)}`, `to upstreams; ${share(pool.reused_share)} reused`),
    tile("Clients", unknown(said.clients.most) ? none : num(said.clients.busy + said.clients.idle + said.clients.websocket), unknown(said.clients.most) ? "connections" : `connections of ${num(said.clients.most)}: ${num(said.clients.busy)} busy, ${num(said.clients.websocket)} websockets`),
    tile("Prompt cache", share(said.prompt_cache_share), "of prompt tokens read from it"),
  ]);
  const several = said.workers > 1 ? `, ${said.workers} workers` : "";
  state(said.stage === "serving" ? "ok" : "bad", `${said.stage} since ${moment(said.since)}${several}`);
}

function state(kind, text) {
  if ($("state").textContent === text) return;
  $("state").className = kind;
  $("state").textContent = text;
}
