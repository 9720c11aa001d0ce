// Elements, words and dialogs. Text from others becomes text and never markup: nothing here, or
// anywhere on the page, parses HTML.

/** The element with an id that the page has. */
export const at = (id) => document.getElementById(id);

/** Makes an element. Functions are listeners, `class` and `aria-…` are attributes, the rest properties. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else if (name === "class") made.className = value;
    else if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Shows `items` in `list`. Elements whose item has not changed stay, with what is typed into them. */
export function keyed(list, items, key, make) {
  const had = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const nodes = items.map((item) => {
    const told = JSON.stringify(item);
    const old = had.get(key(item));
    if (old && old.told === told) return old;
    const hadFocus = old && old.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
    const made = make(item);
    made.dataset.key = key(item);
    made.told = told;
    if (hadFocus) queueMicrotask(() => made.querySelector(`[data-focus="${hadFocus}"]`)?.focus());
    return made;
  });
  const stays = new Set(nodes);
  [...list.children].forEach((node) => stays.has(node) || node.remove());
  nodes.forEach((node, place) => {
    if (list.children[place] !== node) list.insertBefore(node, list.children[place] ?? null);
  });
}

export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

export function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  const units = ["kB", "MB", "GB"];
  let value = bytes;
  let unit = -1;
  do { value /= 1000; unit += 1; } while (value >= 1000 && unit < units.length - 1);
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

const DAY = 24 * 3600 * 1000;
const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat("en-GB", { weekday: "long" });
const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long" });
const dated = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric" });

/** A time as one says it: `14:05`, `Friday`, `3 March`. */
export function day(ms, now = Date.now()) {
  const then = new Date(ms);
  const today = new Date(now);
  if (then.toDateString() === today.toDateString()) return clock.format(then);
  if (ms > now && ms - now < 6 * DAY) return weekday.format(then);
  return (then.getFullYear() === today.getFullYear() ? date : dated).format(then);
}

/** A time in full, for tables. */
export const moment = (ms) => `${day(ms) === clock.format(ms) ? "today" : dated.format(ms)}, ${clock.format(ms)}`;

/** Tells people something that they need not act on. */
export function say(text) {
  if (!text) return;
  const line = el("p", {}, text);
  at("said").append(line);
  while (at("said").children.length > 3) at("said").firstChild.remove();
  setTimeout(() => line.remove(), 8000);
}

/** Shows why something went wrong, or that nothing did. */
export function problem(where, error) {
  where.textContent = error ? error.message : "";
}

let dialogs = 0;

/** Opens a dialog; it is gone when it is closed, and `closed` is called. */
export function dialog(title, { wide = false, closed } = {}, ...content) {
  dialogs += 1;
  const name = `dialog-${dialogs}`;
  const close = () => made.close();
  const made = el(
    "dialog",
    { class: wide ? "wide" : "", "aria-labelledby": name },
    el("header", {},
      el("h2", { id: name }, title),
      el("button", { type: "button", class: "close", "aria-label": "Close", click: close }, "×")),
    ...content,
  );
  const from = document.activeElement;
  const row = from?.closest("[data-key]")?.dataset.key;
  made.addEventListener("close", () => {
    closed?.();
    made.remove();
    // The row from which it was opened may have been made anew meanwhile.
    if (from?.isConnected || row === undefined) return;
    const now = [...document.querySelectorAll("[data-key]")].find(({ dataset }) => dataset.key === row);
    (now?.querySelector(`[data-focus="${from.dataset.focus}"]`) ?? now?.querySelector("button, a"))?.focus();
  });
  document.body.append(made);
  made.showModal();
  return made;
}

/** A form in a dialog, which closes once `act` is done and stays open, with the reason, if it fails. */
export function ask(title, { does, kind = "primary", act }, ...fields) {
  const why = el("p", { class: "problem", role: "alert" });
  const go = el("button", { type: "submit", class: kind }, does);
  const form = el("form", { submit: send }, ...fields, why,
    el("p", { class: "actions" }, go, el("button", { type: "button", click: () => made.close() }, "Cancel")));
  const made = dialog(title, {}, form);
  async function send(event) {
    event.preventDefault();
    go.disabled = true;
    problem(why, null);
    try {
      await act(form);
      made.close();
    } catch (error) {
      problem(why, error);
    }
    go.disabled = false;
  }
  return { dialog: made, go, form };
}

/** A number that a person chooses. */
export const number = (label, name, value, { min = 1, max = 1000000, input } = {}) =>
  el("label", { class: "field" }, el("span", {}, label),
    el("input", { type: "number", name, value: String(value), min: String(min), max: String(max), required: true, inputMode: "numeric", input, "data-focus": name }));

/** Until when, in days from now. */
export const days = (name, chosen = 7) =>
  el("label", { class: "field" }, el("span", {}, "For"),
    el("select", { name, "data-focus": name },
      [[1, "1 day"], [7, "7 days"], [30, "30 days"], [365, "1 year"]].map(([count, text]) =>
        el("option", { value: String(count), selected: count === chosen }, text))));

export const daysFromNow = (count) => Date.now() + Number(count) * DAY;
