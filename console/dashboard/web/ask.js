"use strict";

// Asks the proxy, with an admin's key where it wants one. The key stays in this tab.
let key = sessionStorage.getItem("key") || "";
let admitted = false;  // until then one panel asks for all
class Refused extends Error {}
class Lost extends Error {}
const here = location.pathname.replace(/\/+$/, "");  // a reverse proxy may serve us below a path of its own

async function ask(path, method = "GET") {
  const headers = key ? { "x-api-key": key } : {};
  const reply = await fetch(`${here}/${path}`, { method, cache: "no-store", headers }).catch(() => { throw new Lost("the proxy does not answer"); });
  if (reply.status === 401) throw new Refused(key ? (await reply.json()).error.message : "");
  if (reply.status === 403) throw new Refused((await reply.json()).error.message);
  if (!reply.ok) throw new Error((await reply.json()).error.message);
  return reply.json();
}

function askForKey(why) {
  if ($("ask").open) return;
  $("ask-why").textContent = why;
  $("ask").showModal();
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("key").value.trim();
  sessionStorage.setItem("key", key);
  $("key").value = "";
  $("ask").close();
  admitted = false;
  round();
});
