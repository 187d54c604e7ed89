"use strict";

// Usage since the start of the process.
function showUsage(said) {
  const cost = (each) => (each.cost === null ? (each.unpriced ? "unknown" : none) : usd(each.cost) + (each.unpriced ? ` + ${num(each.unpriced)} unknown` : ""));
  const row = (each) => line(each.name, el("th", { scope: "row", class: "wide" }, each.name || "(no [client])"), right(num(each.requests)), right(num(each.errors), each.errors ? "warn" : ""),
    right(brief(each.input)), right(brief(each.cached)), right(brief(each.output)), right(cost(each)), right(each.kept ? `${num(each.kept)}, ${usd(each.saved)} saved` : none));
  $("usage-since").textContent = $("replies-since").textContent = `since ${moment(said.since)}`;
  fillRows($("model-rows"), said.models.map(row), "nothing yet");
  fillRows($("client-rows"), said.clients.map(row), "nothing yet");
  $("prices").textContent = `Prices in USD: [prices] of the settings, else ${said.prices.source}, of ${said.prices.date}. A model that neither knows has no cost; that is not 0.`;
}
