// Offers a picture. What becomes public is asked of the program and shown before anything is sent out.

import { at, el, problem, say, size } from "./dom.js";
import { upload } from "./server.js";

const FILE_MAX = 64 * 1024 * 1024;
const PREVIEWS = { none: "nothing", blur: "its colours", thumbnail: "a small picture" };

let file = null;
let running = null;

export function start() {
  const drop = at("drop");
  at("file").addEventListener("change", () => choose(at("file").files[0]));
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.remove("over"); });
  }
  drop.addEventListener("drop", (event) => choose(event.dataTransfer.files[0]));
  // A file that misses the field must not replace the page.
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
  let typing;
  at("draft").addEventListener("input", (event) => {
    if (event.target === at("file")) return;
    clearTimeout(typing);
    typing = setTimeout(rehearse, 250);
  });
  at("draft").addEventListener("submit", publish);
  at("draft-clear").addEventListener("click", clear);
}

function choose(chosen) {
  if (!chosen) return;
  if (chosen.size > FILE_MAX) {
    return problem(at("publish-problem"), new Error(`${chosen.name} has ${size(chosen.size)}: at most 64 MiB can be published.`));
  }
  file = chosen;
  at("drop-name").textContent = chosen.name;
  at("drop-hint").textContent = `${size(chosen.size)} · drop or choose another`;
  at("draft-clear").hidden = false;
  rehearse();
}

function clear() {
  file = null;
  running?.abort();
  at("draft").reset();
  at("drop-name").textContent = "Drop a picture here";
  at("drop-hint").textContent = "or choose a file: JPEG, PNG or WebP, up to 64 MiB";
  at("rehearsal").replaceChildren();
  at("publish-now").disabled = true;
  at("draft-clear").hidden = true;
  problem(at("publish-problem"), null);
}

function query(more) {
  const form = new FormData(at("draft"));
  return new URLSearchParams({
    title: at("title").value.trim() || file.name,
    preview: form.get("preview"),
    visibility: form.get("visibility"),
    ...more,
  });
}

/** Asks what would become public, as it stands now. */
async function rehearse() {
  if (!file) return;
  running?.abort();
  const mine = running = new AbortController();
  at("publish-now").disabled = true;
  problem(at("publish-problem"), null);
  try {
    const told = await upload(`publish?${query({ dry: 1 })}`, file, mine.signal);
    if (mine !== running) return;
    at("rehearsal").replaceChildren(show(told));
    at("publish-now").disabled = false;
  } catch (error) {
    if (error.name === "AbortError" || mine !== running) return;
    at("rehearsal").replaceChildren();
    problem(at("publish-problem"), error);
  }
}

function show(told) {
  const fact = (name, value) => [el("dt", {}, name), el("dd", {}, value)];
  const seen = told.preview_picture
    ? el("img", { src: local(told.preview_picture), alt: "What others see of the picture" })
    : el("span", { class: "nothing" }, "No preview");
  return el("div", { class: "rehearsal" },
    el("div", {},
      el("h2", {}, "This becomes public"),
      // As it is: not blurred any further, as the gallery does for beauty.
      el("div", { class: told.preview_picture ? "preview" : "preview none" }, seen),
      el("dl", {},
        fact("Title", told.title),
        fact("Owner", told.owner.handle),
        fact("Format", told.format),
        fact("Size", `${told.width} × ${told.height}, about ${size(told.bytes)}`),
        fact("Preview", PREVIEWS[told.preview]),
        fact("Found by", told.visibility === "public" ? "everybody in the cloud" : "those you tell"))),
    el("div", {},
      el("h2", {}, "This never leaves"),
      el("ul", { class: "stays" },
        el("li", {}, "The picture itself, but to those whom you allow"),
        told.left_out.map((what) => el("li", {}, what)))));
}

/** An address for a picture that came within an answer. */
function local({ kind, base64 }) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: kind }));
}

async function publish(event) {
  event.preventDefault();
  if (!file) return;
  at("publish-now").disabled = true;
  try {
    const told = await upload(`publish?${query({})}`, file);
    say(`“${told.title}” is published.`);
    clear();
    location.hash = "#gallery";
  } catch (error) {
    problem(at("publish-problem"), error);
    at("publish-now").disabled = false;
  }
}
