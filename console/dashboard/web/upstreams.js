"use strict";

// The upstreams: whether they answer, a button to ask one, and one that keeps new requests away from it.
const probed = new Map();
const worstOf = { closed: "ok", "half-open": "warn", open: "bad" };

function showUpstreams(said) {
  fillRows($("upstream-rows"), said.upstreams.map(upstreamRow), "none");
}

function upstreamRow(up) {
  const name = el("th", { scope: "row", class: "wide" }, up.name, el("small", { class: "line" }, up.base_url || ""));
  if (up.off) return line(up.name, name, el("td", { colspan: 9, class: "wide" }, `off: ${up.off}`));
  const troubled = up.places.filter((place) => place.breaker !== "closed" || place.usable_in_s > 0);
  return line(up.name, name,
    el("td", { class: "wide" }, el("span", { class: worstOf[up.breaker] }, up.breaker),
      up.drained ? el("small", { class: "line warn" }, `drained${up.drained.by ? ` by ${up.drained.by}` : ""} since ${moment(up.drained.since)}`) : null, ...troubled.map((place) => el("small", { class: "line" }, placeTold(place)))),
    right(num(up.tries)), right(share(up.error_share), up.error_share > 0.05 ? "bad" : ""),
    right(`${ms(up.first_ms.p50)} / ${ms(up.first_ms.p95)}`), right(ms(up.stream_ms.p95)), right(ms(up.whole_ms.p95)),
    right(`${num(up.busy)} / ${num(up.limit)}`), right(num(up.waiting)),
    el("td", { class: "do" }, el("button", { type: "button", "data-probe": up.name }, "Probe", el("span", { class: "unseen" }, ` ${up.name}`)), " ",
      el("button", { type: "button", "data-drain": up.name, "data-to": up.drained ? "undrain" : "drain" }, up.drained ? "Undrain" : "Drain", el("span", { class: "unseen" }, ` ${up.name}`)),
      el("small", { class: "line" }, probed.get(up.name) || "")));
}

function placeTold(place) {
  const opened = place.breaker === "closed" ? "" : `: breaker ${place.breaker}, opened ${place.opened_times} times`;
  return `${place.name}${opened}; ${place.usable_in_s > 0 ? `left alone for ${num(place.usable_in_s)} s more` : "may be tried"}`;
}

on($("upstream-rows"), "click", "[data-probe]", async (button) => {
  const name = button.dataset.probe;
  probed.set(name, "asking …");
  try {
    const said = await ask(`probe/${encodeURIComponent(name)}`, "POST");
    probed.set(name, said.ok ? `answers in ${ms(said.ms)}, ${said.models} models` : `no: ${said.why}`);
  } catch (error) {
    probed.set(name, `no: ${error.message}`);
  }
  announce(`${name}: ${probed.get(name)}`);
  due("upstreams");
});

on($("upstream-rows"), "click", "[data-drain]", async (button) => {
  const { drain: name, to } = button.dataset;
  try {
    await ask(`${to}/${encodeURIComponent(name)}`, "POST");
    probed.set(name, "");
    announce(to === "drain" ? `${name} gets no new requests` : `${name} gets requests again`);
  } catch (error) {
    probed.set(name, `no: ${error.message}`);
  }
  due("upstreams", "trouble");
});
