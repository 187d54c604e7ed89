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

function held(node) {
  if (!aimedIn || performance.now() - aimedAt > AIMS_MS) return false;
  const section = node.closest("section");
  return section === aimedIn || Boolean(aimedIn.compareDocumentPosition(section) & Node.DOCUMENT_POSITION_PRECEDING);
}
