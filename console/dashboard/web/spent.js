"use strict";

// What was spent in a day or a week, hour by hour, from the usage store: a chart and a table, sessions as a tree.
const spentInks = ["one", "two", "three", "four", "five", "six", "seven"];
const spentBy = { model: "Upstream / model", client: "Client", session: "Session and agents" };
const measures = { usd: usd, tokens: brief, requests: num };
const spentAsks = { hours: "24", by: "model" };
let measure = "usd", spentChart = null, spentSaid = null;

const spentPath = () => `spent?hours=${spentAsks.hours}&by=${spentAsks.by}`;

function showSpent(said) {
  if (String(said.hours) !== spentAsks.hours || said.by !== spentAsks.by) return;  // the answer to an earlier question
  spentSaid = said;
  $("spent-whole").textContent = said.off ? "" : `${usd(said.whole.usd)} for ${num(said.whole.requests)} requests, ${brief(said.whole.tokens)} tokens${said.whole.unpriced ? `; the price of ${num(said.whole.unpriced)} is unknown` : ""}`;
  $("spent-name").textContent = spentBy[said.by];
  drawSpent();
  const left = said.rows.length && said.groups > said.rows.filter((row) => !row.level).length ? `The highest ${said.rows.filter((row) => !row.level).length} of ${num(said.groups)}. ` : "";
  const whose = said.hosts.length ? `All hosts: ${said.hosts.join(", ")}. ` : said.missing ? `This host alone: ${said.missing}. ` : "";
  $("spent-note").textContent = said.off || `${whose}${left}Hours are kept for a week; ./run.sh usage tells what was before.`;
  fillRows($("spent-rows"), said.rows.map((row, n) => spentRow(row, n, said)), said.off || "nothing was spent in this time");
}

function drawSpent() {
  const said = spentSaid, names = said.lines.map((each) => spentName(each.name, said.by)).join("\n") + measure;
  if (!spentChart || spentChart.names !== names) {
    if (spentChart) spentChart.remove();
    $("spent-chart").replaceChildren();
    const lines = said.lines.map((each, n) => ({ name: spentName(each.name, said.by), show: measures[measure], ink: each.name === null ? "other" : spentInks[n] }));
    const what = { name: { usd: "Cost in an hour, USD", tokens: "Tokens in an hour", requests: "Requests in an hour" }[measure], lines: lines.length ? lines : [{ name: "nothing", show: measures[measure], ink: "one" }], stacked: true, step: said.step_s };
    spentChart = makeChart($("spent-chart"), what, () => [spentSaid.start, spentSaid.start + spentSaid.hours * spentSaid.step_s]);
    spentChart.names = names;
  }
  const times = Array.from({ length: said.hours }, (_, i) => said.start + i * said.step_s);
  spentChart.update(times, said.lines.length ? said.lines.map((each) => each[measure]) : [times.map(() => 0)]);
}

function spentName(name, by) {
  if (name === null) return "all others";
  return name || (by === "client" ? "(no [client])" : by === "session" ? "(no session)" : "(none)");
}

function spentRow(row, n, said) {
  const name = !row.level ? spentName(row.name, said.by) : row.name === null ? "the session itself" : `agent ${row.name}`;
  const cost = row.unpriced && !row.usd ? "unknown" : usd(row.usd) + (row.unpriced ? ` + ${num(row.unpriced)} unknown` : "");
  return line(`${n} ${row.name}`, el("th", { scope: "row", class: `wide level${Math.min(row.level, 4)}` }, name, row.client ? el("small", {}, ` ${row.client}`) : null),
    el("td", {}, barOf(row.usd, said.whole.usd)), right(num(row.requests)), right(num(row.failed), row.failed ? "warn" : ""),
    right(brief(row.input)), right(brief(row.cache_read)), right(brief(row.cache_write)), right(brief(row.output)), right(cost));
}

for (const kind of ["hours", "by", "measure"]) {
  on($(`spent-${kind}`), "click", "button", (button) => {
    press(button);
    if (kind === "measure") {
      measure = button.dataset.to;
      if (spentSaid) drawSpent();
    } else {
      spentAsks[kind] = button.dataset.to;
      due("spent");
    }
  });
}
