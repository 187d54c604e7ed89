"use strict";

// The line of what is wrong now, each with a link to its panel. It has its place also while nothing is wrong, and what
// does not fit in it opens above the page, so that nothing moves.
let toldOf = new Set();

function showTrouble(said) {
  const kinds = new Map(said.troubles.map((each) => [`${each.kind} ${each.about}`, each.text]));
  for (const [kind, text] of kinds) if (!toldOf.has(kind)) announce(text);  // the words may count seconds: once is enough
  toldOf = new Set(kinds.keys());
  const [first, ...more] = said.troubles;
  $("trouble").className = first ? first.level : "ok";
  morph($("trouble-first"), [first ? troubleLink(first) : el("span", {}, "Nothing is wrong just now.")]);
  $("trouble-more").hidden = !more.length;
  if (!more.length) $("trouble-more").open = false;
  $("trouble-count").textContent = `and ${more.length} more`;
  morph($("trouble-list"), said.troubles.map((each) => el("li", { "data-key": `${each.kind} ${each.about}` }, troubleLink(each))));
}

function troubleLink(each) {
  const since = each.since === null ? "" : ` (since ${moment(each.since)})`;
  return el("a", { href: `#${each.panel}`, class: each.level, "data-kind": each.kind }, `${each.text}${since}`);
}

on($("trouble-list"), "click", "a", () => { $("trouble-more").open = false; });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") $("trouble-more").open = false; });
