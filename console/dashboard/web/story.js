"use strict";

// The whole story of a request: what it asked, who answered, who was passed over and tried before, where its time went.
const phaseNames = { receive: "reading the request", queue: "waiting (queue, back-off)", proxy: "the proxy's own work", upstream: "waiting for the upstream", stream: "streaming", client: "the client taking the rest" };
const endings = { finished: "got all of it", left: "left before the end", aborted: "was cut off by the proxy", cancelled: "was cut off: an operator cancelled the request" };

async function story(id) {
  $("story-title").textContent = `Request ${id}`;
  $("story-body").replaceChildren(el("p", {}, "loading"));
  $("story").showModal();
  try {
    $("story-body").replaceChildren(...told(await ask(`data/request?id=${encodeURIComponent(id)}`)));
  } catch (error) {
    $("story-body").replaceChildren(el("p", { class: "bad" }, error.message));
  }
}

function told(said) {
  const record = said.record;
  const parts = [facts(said)];
  if (record["error.message"]) parts.push(el("p", { class: "bad" }, record["error.message"]));
  const tried = (each) => `${each.upstream}/${each.model}${each.key > 1 ? ` (key ${each.key})` : ""}: ${each.status} ${each.error}: ${each.message}`;
  parts.push(...listed("What was passed over, without being asked", record.passed_over || []), ...listed("What was tried before", record.tried.map(tried)));
  parts.push(el("h3", {}, `Where the time went: ${ms(record.total_ms)}`), fall(said.phases, record.total_ms || 1), el("p", { class: "note" }, "Each bar is the sum of its kind; with several tries they alternated."));
  parts.push(...bodies(said));
  parts.push(el("details", {}, el("summary", {}, "The whole record"), el("pre", { tabindex: 0 }, JSON.stringify(record, null, 2))));
  return parts;
}

const listed = (title, rows) => (rows.length ? [el("h3", {}, title), el("ol", {}, ...rows.map((row) => el("li", {}, row)))] : []);

function facts(said) {
  const record = said.record, fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  return el("dl", { class: "facts" },
    fact("When", moment(said.time)), fact("Status", `${record.status}${record["error.type"] ? ` ${record["error.type"]}` : ""}`),
    fact("Asked for", `${record["gen_ai.request.model"]} (${record.protocol})`),
    fact("Answered by", record.upstream ? `${record.upstream}/${record.upstream_model} (${record.upstream_protocol})` : "nobody"),
    fact("Client", `${record.client || none} ${endings[record.ended]}`), fact("Tries", `${record.attempts}, connection ${record.connection || none}`),
    fact("Tokens", `${num(record["gen_ai.usage.input_tokens"])} in, ${num(record["gen_ai.usage.cache_read.input_tokens"])} of them cached, ${num(record["gen_ai.usage.output_tokens"])} out`),
    fact("Cost", usd(said.cost)), fact("Left out", record.dropped.join(", ") || "nothing"),
    fact("Session", said.session ? `${said.session}${said.change ? `; the cached prefix: ${change(said.change)}` : ""}` : none));
}

function fall(phases, total) {
  return el("ol", { class: "fall", "aria-label": "Where the time went" }, ...phases.map((phase) => el("li", {},
    el("span", {}, phaseNames[phase.name]),
    el("span", { class: "track" }, el("span", { class: `bar ${phase.name}`, style: { left: `${(100 * phase.at) / total}%`, width: `${(100 * phase.ms) / total}%` } })),
    el("span", { class: "n" }, ms(phase.ms)))));
}

function bodies(said) {
  if (!said.bodies) return [el("p", { class: "note" }, said.logs_bodies ? "Its bodies are not kept: too large, too long ago, or not among those that the settings log." : "Bodies are kept, and shown here side by side, where [logging] request_bodies logs them.")];
  const pretty = (text) => { try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; } };
  const side = (title, text) => el("div", {}, el("h3", {}, title), el("pre", { tabindex: 0 }, pretty(text)));
  return [el("div", { class: "pair" }, side(`What the client sent (${said.bodies.protocol})`, said.bodies.original), side(`What went upstream (${said.bodies.upstream_protocol})`, said.bodies.sent))];
}
