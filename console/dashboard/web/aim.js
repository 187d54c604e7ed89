"use strict";

// Nothing may jump while somebody aims at it: for a moment after the pointer has moved, the panel below it and those
// above keep their rows where they are. What the rows say goes on.
const AIMS_MS = 2500;
let aimedAt = -Infinity, aimedIn = null;

for (const event of ["pointermove", "pointerdown"]) {
  document.addEventListener(event, (happened) => {
    aimedAt = performance.now();
    aimedIn = happened.target instanceof Element ? happened.target.closest("section") : null;
  }, { passive: true });
}

const asked = new Set();  // panels that somebody has just asked to show something else

for (const event of ["click", "input", "change"]) {
  document.addEventListener(event, ({ target }) => {
    if (target instanceof Element && target.closest(".choice, .filters")) asked.add(target.closest("section"));
  }, { capture: true });
}

function held(node) {
  const section = node.closest("section");
  if (asked.delete(section) || !aimedIn || performance.now() - aimedAt > AIMS_MS) return false;
  return section === aimedIn || Boolean(aimedIn.compareDocumentPosition(section) & Node.DOCUMENT_POSITION_PRECEDING);
}

// What was held back is done once nobody aims any more.
const heldBack = new Map();

function whenFree(node, does) {
  heldBack.delete(node);
  if (held(node)) heldBack.set(node, does);
  return !heldBack.has(node);
}

setInterval(() => {
  for (const [node, does] of [...heldBack]) if (!held(node)) { heldBack.delete(node); does(); }
}, 300);
