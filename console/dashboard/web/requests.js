"use strict";

// The latest requests, which can be filtered. Each opens its story.
const known = new Map();
let latest = 0;

function showRequests(said) {
  for (const row of said.requests) if (!known.has(row.id)) known.set(row.id, row);
  if (said.requests.length) latest = Math.max(latest, said.requests[0].time);
  for (const old of newestFirst().slice(500)) known.delete(old.id);
  listRequests();
}

const newestFirst = () => [...known.values()].sort((a, b) => b.time - a.time);

function listRequests() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean), which = $("which").value;
  const fits = (row) => {
    if (which === "failed" && !row.error) return false;
    if (which === "retried" && row.attempts < 2) return false;
    if ((which === "left" || which === "cancelled") && row.ended !== which) return false;
    const text = [row.id, row.client, row.protocol, row.model, row.upstream, row.upstream_model, row.status, row.error, row.operation, row.session, row.ended, row.kept].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const shown = newestFirst().filter(fits);
  $("request-count").textContent = `${shown.length} of the latest ${known.size}`;
  fillRows($("request-rows"), shown.slice(0, 200).map(requestRow), known.size ? "none fits the filter" : "none yet: the box at the end of this page has lines to paste into a client");
}

function requestRow(row) {
  const kind = row.error ? "bad" : row.ended === "left" ? "warn" : "ok";
  const how = row.ended === "finished" ? "" : ` (${row.ended})`;
  const status = `${row.status || none}${row.error ? ` ${row.error}` : ""}${how}${row.attempts > 1 ? ` ×${row.attempts}` : ""}`;
  const task = row.operation === "chat" ? "" : ` (${row.operation})`;
  const given = row.kept === "hit" || row.kept === "coalesced" ? el("small", {}, ` ${row.kept}${unknown(row.saved) ? "" : `, ${usd(row.saved)} saved`}`) : null;
  return line(row.id,
    el("td", {}, el("button", { type: "button", class: "link", "data-story": row.id }, clock(row.time), el("span", { class: "unseen" }, " whole story"))),
    td(status, kind), td(`${row.model}${task}`, "wide"), el("td", { class: "wide" }, row.upstream_model && row.upstream_model !== row.model ? `${row.upstream}/${row.upstream_model}` : row.upstream || none, given),
    td(row.client || none), right(ms(row.first_ms)), right(ms(row.total_ms)), right(brief(row.input)),
    el("td", { class: "n" }, brief(row.cached), row.broke ? el("small", { class: "warn" }, ` ${row.broke}`) : null), right(brief(row.output)), right(usd(row.cost)));
}

$("filter").addEventListener("input", listRequests);
$("which").addEventListener("change", listRequests);
zoneChanged.push(listRequests);
on($("request-rows"), "click", "[data-story]", (button) => story(button.dataset.story));
for (const form of document.querySelectorAll(".filters")) form.addEventListener("submit", (event) => event.preventDefault());
