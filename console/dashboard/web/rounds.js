"use strict";

// Which panel is asked for how often.
const panels = [
  { name: "now", every: 2, show: showNow },
  { name: "trouble", every: 2, show: showTrouble },
  { name: "running", every: 1, show: showRunning },
  { name: "series", every: 5, show: showSeries, path: () => (points.size ? `series?since=${seriesEnd - 15}` : "series") },
  { name: "upstreams", every: 5, show: showUpstreams },
  { name: "requests", every: 2, show: showRequests, path: () => `requests?limit=500&since=${Math.max(0, latest - 3)}`, held: () => $("pause").checked },
  { name: "spent", every: 20, show: showSpent, path: spentPath },
  { name: "usage", every: 5, show: showUsage },
  { name: "cache", every: 5, show: showCache },
  { name: "batches", every: 5, show: showBatches },
  { name: "settings", every: 10, show: showSettings },
  { name: "connect", every: 3600, show: showConnect, path: () => `connect?public_url=${encodeURIComponent(location.origin + here.replace(/\/dashboard$/, ""))}` },
].map((panel) => ({ due: 0, busy: false, ...panel }));

function due(...names) {
  for (const panel of panels) if (!names.length || names.includes(panel.name)) panel.due = 0;
  round();
}
zoneChanged.push(() => due());

async function one(panel, now) {
  panel.busy = true;
  panel.due = now + panel.every * 1000;
  try {
    const said = await ask(`data/${panel.path ? panel.path() : panel.name}`);
    if (!admitted) {
      admitted = true;
      for (const each of panels) each.due = 0;
    }
    panel.show(said);
  } catch (error) {
    if (error instanceof Refused) {
      askForKey(error.message);
      panel.due = 0;
    } else state("bad", error instanceof Lost ? "the proxy does not answer; what is shown is from before" : error.message);
  } finally {
    panel.busy = false;
  }
}

function round() {
  if (document.hidden || $("ask").open) return;
  const now = Date.now();
  for (const panel of admitted ? panels : panels.slice(0, 1)) {
    if (!panel.busy && panel.due <= now && !(panel.held && panel.held())) one(panel, now);
  }
}
document.addEventListener("visibilitychange", round);
setInterval(round, 500);
round();
