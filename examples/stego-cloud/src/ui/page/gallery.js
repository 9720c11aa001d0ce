// What is offered, by whom, and the question for views.

import { ask, at, el, keyed, number, plural, problem, say, size } from "./dom.js";
import { get, picture, post } from "./server.js";

const PAGE = 24;

let shown = [];
let next = null;
/** How many a person has asked to see: a refresh shows as many again. */
let wanted = PAGE;
let asked = 0;

export function start() {
  let typing;
  at("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => { wanted = PAGE; refresh(); }, 200);
  });
  at("more").addEventListener("click", () => { wanted += PAGE; refresh(); });
}

export async function refresh() {
  const turn = ++asked;
  const text = at("search").value.trim();
  const offers = [];
  let after = null;
  try {
    do {
      const limit = Math.min(wanted - offers.length, 60);
      const query = new URLSearchParams({ text, limit, ...(after === null ? {} : { after }) });
      const page = await get(`catalog?${query}`);
      offers.push(...page.offers);
      after = page.next;
    } while (after !== null && offers.length < wanted);
    problem(at("gallery-problem"), null);
  } catch (error) {
    return problem(at("gallery-problem"), error);
  }
  // An answer to what was typed before is of no use.
  if (turn !== asked) return;
  shown = offers;
  next = after;
  keyed(at("offers"), shown, (offer) => offer.image, card);
  at("more").hidden = next === null;
  at("gallery-empty").hidden = shown.length > 0;
  at("gallery-empty").textContent = text ? `Nothing matches “${text}”.` : "Nobody offers anything yet.";
}

const STATES = {
  requested: "Asked: waiting for an answer",
  rejected: "Rejected",
  delivering: "Granted: on its way",
  active: "Yours to look at",
  exhausted: "All views used",
  expired: "Its time is over",
  revoked: "Taken back",
};

function card(offer) {
  const { title, owner, mine, state } = offer;
  const canAsk = !mine && !["requested", "delivering", "active"].includes(state);
  return el("li", { class: "card" },
    preview(offer),
    el("div", { class: "card-text" },
      el("h2", { title }, title),
      el("p", { class: "quiet" },
        el("span", { class: "who", title: `key ${owner.key}` }, mine ? "You" : owner.handle),
        mine ? null : el("span", { class: `dot ${offer.owner_online ? "on" : "off"}`, role: "img", "aria-label": offer.owner_online ? "is here" : "is away", title: offer.owner_online ? "is here" : "is away: what you ask waits" })),
      el("p", { class: "quiet" }, `${offer.width} × ${offer.height} · ${size(offer.bytes)}`),
      state ? el("p", { class: `state ${state}` }, STATES[state]) : null,
      canAsk ? el("button", { type: "button", "data-focus": "ask", "aria-label": `Ask ${owner.handle} for views of ${title}`, click: () => request(offer) }, state ? "Ask again" : "Ask for views") : null,
      ["active", "exhausted", "expired", "revoked"].includes(state) ? el("a", { href: "#grants", class: "button" }, "See your grant") : null,
      mine ? el("p", { class: "state own" }, "Offered by you") : null));
}

function preview({ image, preview: kind, title }) {
  const frame = el("div", { class: `preview ${kind}` });
  if (kind === "none") {
    frame.append(el("span", { class: "nothing" }, "No preview"));
    return frame;
  }
  const seen = el("img", { alt: kind === "blur" ? `The colours of ${title}` : `A small picture of ${title}` });
  frame.append(seen);
  picture(`preview/${image}`, seen).then((there) => {
    if (!there) frame.replaceChildren(el("span", { class: "nothing" }, "No preview"));
  });
  return frame;
}

function request({ image, title, owner }) {
  ask(`Ask for “${title}”`, {
    does: "Ask",
    act: async (form) => {
      const views = Number(form.views.value);
      await post("request", { image, views, note: form.note.value });
      say(`${owner.handle} is asked for ${plural(views, "view")} of “${title}”.`);
      refresh();
    },
  },
  el("p", {}, `${owner.handle} decides: yes, fewer, or no. You are told here, also if ${owner.handle} is away now.`),
  number("Views", "views", 2, { max: 1000 }),
  el("label", { class: "field" }, el("span", {}, "A word to them"),
    el("textarea", { name: "note", maxLength: 500, rows: 3, placeholder: "Who you are, what it is for" })));
}
