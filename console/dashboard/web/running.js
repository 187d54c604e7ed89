"use strict";

// The requests on their way, and a button to cancel each. One more click is asked for, in the same place.
const cancelling = new Map();  // request -> "sure?" or what came of it
const doing = { RECEIVING: "is sending its request", RESOLVING: "is looked up", SHARING: "waits for another's answer", QUEUED: "waits for a slot", BACKING_OFF: "waits before the next try", ASKING: "waits for the upstream", STREAMING: "streams", FLUSHING: "takes the rest" };

function showRunning(said) {
  $("running-count").textContent = said.open > said.running.length ? `the oldest ${said.running.length} of ${num(said.open)}` : num(said.open);
  for (const id of cancelling.keys()) if (!said.running.some((row) => row.id === id)) cancelling.delete(id);
  fillRows($("running-rows"), said.running.map((row) => runningRow(row, said.workers > 1)), "none just now");
}

function runningRow(row, several) {
  const target = row.upstream ? `${row.upstream}${row.upstream_model && row.upstream_model !== row.model ? `/${row.upstream_model}` : ""}` : none;
  const who = [row.client || row.address || none, row.session ? `session ${row.session.slice(0, 8)}` : "", row.agent ? `agent ${row.agent.slice(0, 8)}` : ""].filter(Boolean);
  const waits = row.waits_s ? ` ${lasting(row.waits_s)}` : "";
  const step = cancelling.get(row.id), asked = step === "sure?";
  return line(row.id,
    right(lasting(row.age_s)), td(`${doing[row.state] || row.state.toLowerCase()}${waits}${row.attempts > 1 ? `, try ${row.attempts}` : ""}`, row.state === "STREAMING" ? "ok" : ""),
    td(row.model || none, "wide"), td(target, "wide"), td(who.join(", "), "wide"),
    right(bytes(row.bytes_in)), right(bytes(row.bytes_out)),
    el("td", { class: "mono" }, row.id.replace("req_", ""), several ? el("small", {}, ` worker ${row.worker}`) : null),
    el("td", { class: "do" }, el("button", { type: "button", class: asked ? "danger" : "", "data-cancel": row.id, disabled: Boolean(step) && !asked }, asked ? "Really?" : step || "Cancel", el("span", { class: "unseen" }, ` ${row.id}`))));
}

on($("running-rows"), "click", "[data-cancel]", async (button) => {
  const id = button.dataset.cancel;
  if (cancelling.get(id) !== "sure?") {
    cancelling.set(id, "sure?");
    setTimeout(() => { if (cancelling.get(id) === "sure?") { cancelling.delete(id); due("running"); } }, 5000);
  } else {
    cancelling.set(id, "cancelling");
    await ask(`cancel/${encodeURIComponent(id)}`, "POST").then(() => announce(`${id} is cancelled`), (error) => { cancelling.set(id, "failed"); announce(error.message); });
  }
  due("running", "requests");
});
