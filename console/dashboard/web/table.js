"use strict";

// Tables. Each cell knows the name of its column, which a phone shows beside it (tables.css).
const td = (text, kind) => el("td", { class: kind }, text);
const right = (text, kind) => td(text, kind ? `n ${kind}` : "n");
const line = (key, ...cells) => el("tr", { "data-key": key }, ...cells);
const emptyRow = (text) => el("tr", { class: "empty", "data-key": "" }, el("td", { colspan: 99 }, text));

function fillRows(body, rows, nothing) {
  const names = [...body.closest("table").querySelectorAll("thead th")].map((head) => head.textContent.trim());
  for (const row of rows) [...row.children].forEach((cell, i) => { if (!cell.hasAttribute("colspan")) cell.dataset.label = names[i]; });
  const first = body.childElementCount === 0 || (body.childElementCount === 1 && body.firstElementChild.className === "empty");
  const meant = rows.length ? rows : [emptyRow(nothing)];
  morph(body, meant, !first && !whenFree(body, () => morph(body, meant)));
}

const barOf = (part, whole) => el("span", { class: "meter", "aria-hidden": "true" }, el("span", { style: { width: `${whole ? Math.min(100, (100 * part) / whole) : 0}%` } }));
