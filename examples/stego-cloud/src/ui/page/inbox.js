// Who asks to see the person's pictures, and the answers: yes, fewer, no.

import { ask, at, days, daysFromNow, el, keyed, moment, number, plural, problem, say } from "./dom.js";
import { get, post } from "./server.js";

export async function refresh() {
  try {
    const waiting = await get("inbox");
    problem(at("inbox-problem"), null);
    keyed(at("waiting"), waiting, ({ request }) => request, row);
    at("inbox-empty").hidden = waiting.length > 0;
    at("inbox-count").hidden = waiting.length === 0;
    at("inbox-count").textContent = waiting.length;
    at("inbox-words").textContent = waiting.length === 0 ? "" : `, ${plural(waiting.length, "request")}`;
  } catch (error) {
    problem(at("inbox-problem"), error);
  }
}

function row(waiting) {
  const { from, title, views, note, at_ms } = waiting;
  const why = el("p", { class: "problem", role: "alert" });
  const yes = el("button", { type: "submit", class: "primary", "data-focus": "approve" });
  const count = number("Views", "views", views, { max: views, input: word });
  const form = el("form", { class: "decide", submit: approve },
    count, days("days"),
    el("p", { class: "actions" }, yes,
      el("button", { type: "button", class: "danger", "data-focus": "reject", "aria-label": `Reject the request of ${from.handle} for ${title}…`, click: () => reject(waiting) }, "Reject…")));
  function word() {
    const chosen = Number(form.views.value);
    yes.textContent = chosen < views ? `Approve ${chosen} of ${plural(views, "view")}` : `Approve ${plural(views, "view")}`;
  }
  word();
  async function approve(event) {
    event.preventDefault();
    yes.disabled = true;
    try {
      const chosen = Number(form.views.value);
      const answer = { approve: { views: chosen, expires_ms: daysFromNow(form.days.value) } };
      await post("decide", { request: waiting.request, answer });
      say(`${from.handle} may look at “${title}” ${chosen === 1 ? "once" : `${chosen} times`}.`);
      refresh();
    } catch (error) {
      problem(why, error);
      yes.disabled = false;
    }
  }
  return el("li", { class: "row ask" },
    el("div", { class: "row-text" },
      el("h2", {}, el("span", { class: "who", title: `key ${from.key}` }, from.handle), ` asks for ${plural(views, "view")} of “${title}”`),
      note ? el("blockquote", {}, note) : null,
      el("p", { class: "quiet" }, moment(at_ms))),
    form, why);
}

function reject({ request, from, title }) {
  ask(`Reject the request of ${from.handle}?`, {
    does: "Reject",
    kind: "danger",
    act: async (form) => {
      await post("decide", { request, answer: { reject: { why: form.why.value } } });
      say(`The request of ${from.handle} for “${title}” is rejected.`);
      refresh();
    },
  },
  el("label", { class: "field" }, el("span", {}, `Why (${from.handle} reads it; may be empty)`),
    el("textarea", { name: "why", maxLength: 500, rows: 3 })));
}
