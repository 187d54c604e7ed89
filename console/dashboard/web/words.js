"use strict";

// Numbers, money and times as words. Every time says its zone: that of this browser, or UTC, as in the logs.
const none = "–";
const numbers = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const unknown = (n) => n === null || n === undefined;
const num = (n) => (unknown(n) ? none : numbers.format(n));
const brief = (n) => (unknown(n) ? none : Math.abs(n) < 10000 ? numbers.format(n) : short.format(n));
const share = (n) => (unknown(n) ? none : `${numbers.format(n * 100)} %`);
const usd = (n) => (unknown(n) ? none : `$${n >= 1 ? n.toFixed(2) : n === 0 ? "0" : n.toPrecision(2)}`);
const bytes = (n) => (n < 1e3 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : `${(n / 1e6).toFixed(1)} MB`);

function ms(n) {
  if (unknown(n)) return none;
  if (n < 1000) return `${n < 10 ? n.toFixed(1) : Math.round(n)} ms`;
  return n < 60000 ? `${(n / 1000).toFixed(n < 10000 ? 2 : 1)} s` : `${(n / 60000).toFixed(1)} min`;
}
const lasting = (s) => (s < 60 ? `${s.toFixed(1)} s` : s < 3600 ? `${Math.floor(s / 60)} min ${Math.round(s % 60)} s` : `${(s / 3600).toFixed(1)} h`);

let utc = localStorage.getItem("zone") === "UTC";
const zoned = (options) => new Intl.DateTimeFormat("en-GB", utc ? { ...options, timeZone: "UTC" } : options);
const zoneOf = (t) => (utc ? "UTC" : zoned({ timeZoneName: "short" }).formatToParts(new Date(t * 1000)).find((part) => part.type === "timeZoneName").value);
const zone = () => zoneOf(Date.now() / 1000);
let formats = null;
function format(kind, t) {
  formats = formats || {
    clock: zoned({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
    minute: zoned({ hour: "2-digit", minute: "2-digit" }),
    day: zoned({ weekday: "short", day: "numeric", month: "short" }),
  };
  return formats[kind].format(new Date(t * 1000));
}
const clock = (t) => format("clock", t);  // where a heading or a label names the zone
const minute = (t) => format("minute", t);
const day = (t) => format("day", t);
const moment = (t) => `${day(t)}, ${clock(t)} ${zoneOf(t)}`;

const zoneChanged = [];  // who shows times, and is to show them anew
function setZone(to) {
  utc = to;
  formats = null;
  localStorage.setItem("zone", utc ? "UTC" : "");
  showZone();
  for (const changed of zoneChanged) changed();
}
function showZone() {
  $("zone").textContent = utc ? "UTC" : zone();
  $("zone").setAttribute("aria-label", `Times are in ${zone()}. Show them in ${utc ? "the zone of this browser" : "UTC"}`);
  for (const each of document.querySelectorAll(".zone")) each.textContent = zone();
}
$("zone").addEventListener("click", () => setZone(!utc));
showZone();
