"use strict";

// The settings in force, whether the last change was taken, and the lines to paste into a client.
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
  fillRows($("settings-rows"), values.filter(fits).map((v, i) => line(`${i} ${v.section} ${v.key}`, td(v.section), td(v.key, "mono"), td(v.value, "wide mono"), td(v.origin))), "none fits the filter");
}
$("settings-filter").addEventListener("input", listSettings);
$("settings-all").addEventListener("change", listSettings);

function showConnect(said) { $("lines").textContent = said.lines.join("\n"); }
$("copy").addEventListener("click", async () => {
  try { await navigator.clipboard.writeText($("lines").textContent); announce("copied"); $("copy").textContent = "Copied"; }
  catch { getSelection().selectAllChildren($("lines")); announce("selected: copy it with Ctrl-C"); }
});
