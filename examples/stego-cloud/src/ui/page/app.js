// Starts the page, goes from one part to another, and keeps all parts up to date.

import { at, el, say } from "./dom.js";
import { Stranger, enter, get, listen } from "./server.js";
import * as gallery from "./gallery.js";
import * as publish from "./publish.js";
import * as inbox from "./inbox.js";
import * as grants from "./grants.js";

const PARTS = ["gallery", "publish", "inbox", "grants"];

/** Shows the part that the address names, and moves the focus to its title if a person went there. */
function go(moved) {
  const wanted = location.hash.slice(1);
  if (wanted === "main") return at("main").focus();
  const part = PARTS.includes(wanted) ? wanted : "gallery";
  for (const name of PARTS) {
    at(name).hidden = name !== part;
    const link = document.querySelector(`nav a[href="#${name}"]`);
    if (name === part) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${at(`${part}-title`).textContent} · Stego cloud`;
  if (!moved) return;
  scrollTo(0, 0);
  at(`${part}-title`).focus({ preventScroll: true });
}

function lock(why) {
  for (const name of [...PARTS, "nav", "me"]) at(name).hidden = true;
  document.querySelectorAll("dialog").forEach((open) => open.close());
  at("locked").hidden = false;
  at("locked-why").textContent = why;
}

async function me() {
  const told = await get("me");
  at("me-handle").textContent = told.handle;
  at("me").title = `Your key: ${told.key}`;
  online = told.online;
  light();
}

let online = false;
let connected = false;

function light() {
  const [state, text] = !connected ? ["off", "the program does not answer"]
    : online ? ["on", "connected to the cloud"] : ["waiting", "the cloud is not reached"];
  at("live").className = `dot ${state}`;
  at("live").setAttribute("aria-label", text);
  at("live").title = text;
}

/** Looks again at what changed. Each part says itself what is wrong with it. */
function refresh(topics) {
  const has = (topic) => topics.has("all") || topics.has(topic);
  if (has("me")) me().catch(() => {});
  if (has("catalog") || has("grants")) gallery.refresh();
  if (has("inbox")) inbox.refresh();
  if (has("grants")) grants.refresh();
}

async function start() {
  try {
    await enter();
    await me();
  } catch (error) {
    return lock(error instanceof Stranger && error.message === "" ? "" : error.message);
  }
  addEventListener("stranger", (event) => lock(event.detail.message));
  addEventListener("hashchange", () => go(true));
  at("nav").hidden = false;
  at("me").hidden = false;
  gallery.start();
  publish.start();
  go(false);
  refresh(new Set(["all"]));
  let first = true;
  listen(
    (events) => {
      refresh(new Set(events.map((event) => event.topic)));
      events.forEach((event) => say(event.text));
    },
    (now) => {
      // What happened while nobody was there to tell is looked up; the cursor tells the rest.
      if (now && !connected && !first) refresh(new Set(["all"]));
      if (now) first = false;
      connected = now;
      light();
    },
  );
}

start();
