// Looks at a picture. A view is spent by a press of a button that says so, and by nothing else.
//
// The picture is drawn from memory, is not an element that can be saved, and goes when the window is
// left. What can be done about somebody who wants to keep it: nothing, and the page says so.

import { dialog, el, plural, problem } from "./dom.js";
import { picture, post } from "./server.js";

const REASONS = {
  exhausted: "All views are used.",
  expired: "The time of this grant is over.",
  revoked: "The owner took this grant back.",
};

/** Opens the viewer of a grant. `changed` is called when a view was spent. */
export function look(grant, changed) {
  let bitmap = null;
  let left = grant.views - grant.used;
  // Sent again after a failure, it is the same try, so that a view is spent once.
  let attempt = crypto.randomUUID();

  const canvas = el("canvas", { hidden: true, role: "img", "aria-label": grant.title });
  const cover = el("img", { class: "cover", alt: "The cover, in which the picture is hidden", hidden: true });
  const veil = el("p", { class: "veil", hidden: true }, "Hidden, because you left the window.");
  const told = el("p", { class: "told", "aria-live": "polite" });
  const why = el("p", { class: "problem", role: "alert" });
  const spend = el("button", { type: "button", class: "primary", click: open });
  const again = el("button", { type: "button", hidden: true, click: draw }, "Show it again: it is the same view");
  const honest = el("p", { class: "quiet" }, "While it is on the screen it can be photographed: a view is a promise about the key, not about eyes.");
  const box = dialog(grant.title, { wide: true, closed: forget },
    el("div", { class: "stage" }, cover, canvas, veil), told, why,
    el("p", { class: "actions" }, spend, again), honest);
  box.classList.add("viewer");

  for (const name of ["blur", "pagehide"]) addEventListener(name, hide);
  document.addEventListener("visibilitychange", hide);

  if (grant.state === "active") offer();
  else over(grant.state);

  /** Says what a look costs. Nothing is spent yet. */
  function offer() {
    showCover();
    told.textContent = `You see the cover. Looking uses 1 of the ${plural(left, "view")} that ${left === 1 ? "is" : "are"} left.`;
    spend.textContent = `Look now: this uses 1 of ${plural(left, "view")}`;
    spend.hidden = false;
    spend.focus();
  }

  async function open() {
    spend.disabled = true;
    problem(why, null);
    try {
      const answer = await post("view", { grant: grant.grant, attempt });
      const shown = answer.headers.get("x-stego-view");
      if (shown === null) {
        over((await answer.json()).over);
      } else {
        const { number, of } = JSON.parse(shown);
        // Closed meanwhile: the view is spent, and nobody is there to see it.
        const made = await createImageBitmap(await answer.blob());
        if (!box.isConnected) return made.close();
        bitmap?.close();
        bitmap = made;
        left = of - number;
        told.textContent = `This is view ${number} of ${of}. ${left === 0 ? "It is the last." : `${plural(left, "view")} left.`}`;
        draw();
      }
      attempt = crypto.randomUUID();
      changed();
    } catch (error) {
      problem(why, error);
    }
    spend.disabled = false;
  }

  function draw() {
    if (!bitmap) return;
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    canvas.hidden = false;
    for (const other of [cover, veil, spend, again]) other.hidden = true;
  }

  /** Takes the picture off the screen. It is still this view, until the viewer is closed. */
  function hide(event) {
    if (event.type === "visibilitychange" && !document.hidden) return;
    if (!bitmap || canvas.hidden) return;
    wipe();
    veil.hidden = false;
    again.hidden = false;
  }

  function wipe() {
    canvas.hidden = true;
    // Setting a size clears what was drawn.
    canvas.width = 0;
    canvas.height = 0;
  }

  function over(state) {
    wipe();
    showCover();
    for (const other of [veil, spend, again, honest]) other.hidden = true;
    told.textContent = `${REASONS[state] ?? "There is nothing left to see."} The cover is what remains.`;
  }

  function showCover() {
    picture(`cover/${grant.grant}`, cover).then((there) => { cover.hidden = !there || !canvas.hidden || !veil.hidden; });
  }

  function forget() {
    for (const name of ["blur", "pagehide"]) removeEventListener(name, hide);
    document.removeEventListener("visibilitychange", hide);
    wipe();
    bitmap?.close();
    bitmap = null;
  }
}
