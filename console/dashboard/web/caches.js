"use strict";

// Prompt caches: what broke the prefix of a session.
function change(each) {
  const who = each.tool ? ` (${each.tool})` : each.role ? ` (${each.role})` : "";
  if (each.where === "nothing") return `nothing changed, but ${Math.round(each.idle_s / 60)} min had passed`;
  return `${each.where}${who} ${each.what}${each.of ? `, of ${each.of}` : ""}`;
}

// Replies that the proxy itself has given again, or that several requests have shared.
const ANSWERED = [["hit", "by a kept reply (hit)"], ["coalesced", "by another request's reply (coalesced)"], ["miss", "by an upstream (miss)"], ["bypass", "by an upstream, as it is not for the cache (bypass)"]];

function showReplies(said) {
  $("replies-note").textContent = said ? `${num(said.entries)} replies are kept, ${bytes(said.bytes)}. What is saved is what an upstream would have taken, at its price.` : "";
  const all = said ? ANSWERED.reduce((sum, [name]) => sum + said[name], 0) : 0;
  const row = ([name, words]) => line(name, el("th", { scope: "row" }, words), right(num(said[name])), right(all ? share(said[name] / all) : none),
    right(`${name}_tokens` in said ? brief(said[`${name}_tokens`]) : none), right(`${name}_usd` in said ? usd(said[`${name}_usd`]) : none));
  fillRows($("replies-rows"), said ? ANSWERED.map(row) : [], "off: [cache] models, always or coalesce");
}

// Batches that the proxy runs itself.
function showBatches(said) {
  fillRows($("batches-rows"), said.batches.map((each) => line(each.id, el("th", { scope: "row", class: "mono" }, each.id), td(each.client || none), td(moment(each.created)),
    right(`${num(each.done)} of ${num(each.total)} (${share(each.done / each.total)})`), right(num(each.running)), right(num(each.errored)))),
  said.on ? "none on its way" : "off: [batches] file");
}

function showCache(said) {
  showReplies(said.replies);
  $("cache-note").textContent = "A cache hits as far as a prompt begins like the one before: tools, then system, then messages. " +
    (said.parses ? "Requests that pass through untouched are looked at too." : "Of requests that pass through untouched only the share is known; [logging] cache_watch = true looks into them as well.");
  const broke = (each) => (each.changes.length ? each.changes.slice(-3).reverse().map((c) => `${clock(c.time)} ${change(c)}`).join("; ") : each.looked ? "nothing" : "not looked into");
  fillRows($("cache-rows"), said.sessions.map((each) => line(each.session, el("th", { scope: "row", class: "mono" }, each.session), td(each.client || none), td(each.model, "wide"),
    right(num(each.requests)), right(brief(each.prompt)), right(share(each.hit)), right(share(each.last_hit)), td(broke(each), "wide"))), "no session yet: clients name theirs by a header or in the request");
}
