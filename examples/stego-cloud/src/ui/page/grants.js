// What the person may look at, what others may look at of theirs, and who did.

import { ask, at, day, days, daysFromNow, dialog, el, keyed, moment, number, plural, problem, say, size } from "./dom.js";
import { get, picture, post } from "./server.js";
import { look } from "./viewer.js";

export async function refresh() {
  try {
    const { mine, given } = await get("grants");
    problem(at("grants-problem"), null);
    keyed(at("mine"), mine, ({ grant }) => grant, received);
    keyed(at("given"), given, ({ grant }) => grant, handed);
    at("mine-empty").hidden = mine.length > 0;
    at("given-empty").hidden = given.length > 0;
  } catch (error) {
    problem(at("grants-problem"), error);
  }
}

/** `2 of 3 left, until Friday` */
function terms({ views, used, expires_ms }) {
  const until = expires_ms === null ? "" : `, until ${day(expires_ms)}`;
  return `${views - used} of ${views} left${until}`;
}

const ENDED = { exhausted: "All views used", expired: "Its time is over", revoked: "Taken back" };
const ends = (state) => state in ENDED;

function state(grant) {
  switch (grant.state) {
    case "requested": return `Asked for ${plural(grant.asked, "view")}: waiting for ${grant.other.handle}`;
    case "rejected": return grant.why ? `Rejected: “${grant.why}”` : "Rejected";
    case "delivering": return `On its way, ${terms(grant)}`;
    case "active": return terms(grant);
    case "exhausted": return grant.views === 1 ? "The one view is used" : `All ${grant.views} views are used`;
    default: return `${ENDED[grant.state]}${grant.used ? `, ${grant.used} of ${grant.views} used` : ""}`;
  }
}

const meter = (grant) => ["active", "exhausted"].includes(grant.state)
  ? el("span", { class: "pips", "aria-hidden": "true" }, pips(grant))
  : null;

/** One mark for each view, as long as one can count them. */
function pips({ views, used }) {
  if (views > 12) return [];
  return Array.from({ length: views }, (_, place) => el("i", { class: place < views - used ? "left" : "" }));
}

function progress({ state: now, delivered }) {
  if (now !== "delivering" || !delivered) return null;
  const [have, all] = delivered;
  return el("p", { class: "progress" },
    el("progress", { max: all, value: have, "aria-label": "Delivery" }), ` ${size(have)} of ${size(all)}`);
}

function received(grant) {
  const { title, other, views, used } = grant;
  const left = views - used;
  const hasCover = grant.state === "active" || ends(grant.state);
  return el("li", { class: `row ${grant.state}` },
    hasCover ? cover(grant) : el("div", { class: "thumb none" }),
    el("div", { class: "row-text" },
      el("h3", {}, title),
      el("p", { class: "quiet" }, "from ", el("span", { class: "who", title: `key ${other.key}` }, other.handle)),
      el("p", { class: `state ${grant.state}` }, meter(grant), state(grant)),
      progress(grant)),
    el("p", { class: "actions" },
      grant.state === "active"
        ? el("button", { type: "button", class: "primary", "data-focus": "look", "aria-label": `Look at ${title}: this uses 1 of ${plural(left, "view")}`, click: () => look(grant, refresh) }, "Look… ", el("small", {}, `uses 1 of ${left}`))
        : null,
      ends(grant.state)
        ? el("button", { type: "button", "data-focus": "cover", click: () => look(grant, refresh) }, "Show the cover")
        : null));
}

function cover({ grant, title }) {
  const seen = el("img", { alt: `The cover in which ${title} is hidden` });
  const frame = el("div", { class: "thumb" }, seen);
  picture(`cover/${grant}`, seen).then((there) => there || frame.replaceChildren());
  return frame;
}

function handed(grant) {
  const { title, other } = grant;
  const button = (name, kind, text, click) =>
    el("button", { type: "button", class: kind, "data-focus": name, "aria-label": `${text.replace("…", "")}: ${title}, ${other.handle}`, click }, text);
  const isOver = ends(grant.state) || grant.state === "rejected";
  return el("li", { class: `row ${grant.state}` },
    el("div", { class: "row-text" },
      el("h3", {}, title),
      el("p", { class: "quiet" }, "to ", el("span", { class: "who", title: `key ${other.key}` }, other.handle)),
      el("p", { class: `state ${grant.state}` }, meter(grant), state(grant)),
      progress(grant)),
    el("p", { class: "actions" },
      button("audit", "", "Who looked", () => audit(grant)),
      // What was taken back is over for good.
      ["rejected", "revoked"].includes(grant.state) ? null : button("extend", "", isOver ? "Give more…" : "Change…", () => extend(grant)),
      isOver ? null : button("revoke", "danger", "Take back…", () => revoke(grant))));
}

function extend({ grant, title, other, views, used }) {
  ask(`“${title}” for ${other.handle}`, {
    does: "Change",
    act: async (form) => {
      await post("extend", { grant, views: Number(form.views.value), expires_ms: daysFromNow(form.days.value) });
      say(`${other.handle} may look at “${title}” ${form.views.value} times in all.`);
      refresh();
    },
  },
  el("p", {}, used ? `${plural(used, "view")} of ${views} are used. Nothing has to be sent again.` : "Nothing has to be sent again."),
  number("Views in all", "views", Math.max(views, used + 1), { min: Math.max(used, 1) }),
  days("days"));
}

function revoke({ grant, title, other, views, used }) {
  ask(`Take back “${title}”?`, {
    does: "Take back",
    kind: "danger",
    act: async () => {
      await post("revoke", { grant });
      say(`${other.handle} can no longer look at “${title}”.`);
      refresh();
    },
  },
  el("p", {}, `${other.handle} loses ${plural(views - used, "view")}, at once. What ${other.handle} has seen can have been kept; nothing takes that back.`));
}

async function audit({ grant, title, other }) {
  const why = el("p", { class: "problem", role: "alert" });
  const rows = el("tbody");
  const table = el("table", { hidden: true },
    el("thead", {}, el("tr", {}, ["When", "Who", "What"].map((name) => el("th", { scope: "col" }, name)))), rows);
  dialog(`Who looked at “${title}”`, { wide: true }, table, why,
    el("p", { class: "quiet" }, `Each look is counted by the cloud and signed by ${other.handle}.`));
  try {
    const entries = await get(`audit/${grant}`);
    rows.append(...entries.map((entry) => el("tr", { class: entry.refused ? "refused" : "" },
      el("td", {}, moment(entry.at_ms)),
      el("td", { title: `key ${entry.who.key}` }, entry.who.handle),
      el("td", { title: entry.proof ? `proof ${entry.proof}` : "" }, entry.what))));
    table.hidden = false;
  } catch (error) {
    problem(why, error);
  }
}
