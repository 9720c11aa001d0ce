// Talks to the program that served this page, and to nobody else.
//
// Who may ask is proved twice: by a cookie that no page can read, and by a key that only this page's own
// storage has. The key comes with the cookie, for the token of a link.

const KEY = "stego-key";

/** The program does not let this browser in. */
export class Stranger extends Error {}

/** What the program says when it does not do what it was asked. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Exchanges the token of a link, if the page was opened by one, and forgets the link. */
export async function enter() {
  const token = /^#token=([\w-]+)$/.exec(location.hash)?.[1];
  if (token) {
    history.replaceState(null, "", "/#gallery");
    const answer = await fetch("/api/session", { method: "POST", body: token });
    if (answer.ok) localStorage.setItem(KEY, await answer.text());
    // A browser that was let in before needs no link, however old this one is.
    else if (!localStorage.getItem(KEY)) throw new Stranger(await answer.text());
  }
  if (!localStorage.getItem(KEY)) throw new Stranger("");
}

async function send(path, options = {}) {
  let answer;
  try {
    answer = await fetch(`/api/${path}`, {
      ...options,
      headers: { ...options.headers, "x-stego-key": localStorage.getItem(KEY) ?? "" },
      redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "unreachable", "The program that serves this page does not answer. Is it still running?");
  }
  if (answer.ok) return answer;
  if (answer.status === 403) {
    localStorage.removeItem(KEY);
    const stranger = new Stranger(await answer.text());
    dispatchEvent(new CustomEvent("stranger", { detail: stranger }));
    throw stranger;
  }
  const told = await answer.json().catch(() => ({}));
  const error = told.error ?? { code: "failed", message: `The program answered with ${answer.status}.` };
  throw new Refusal(answer.status, error.code, error.message);
}

/** Reads something. */
export const get = async (path) => (await send(path)).json();

/** Has something done. Gives the answer as it is. */
export const post = (path, body) =>
  send(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

/** Sends a file. */
export const upload = async (path, file, signal) => {
  const options = { method: "POST", headers: { "content-type": "application/octet-stream" }, body: file, signal };
  return (await send(path, options)).json();
};

const pictures = new Map();

/** Loads a picture into `image`. It stays in memory while the page does. */
export async function picture(path, image) {
  if (!pictures.has(path)) {
    pictures.set(path, send(path).then((answer) => answer.blob()).then((blob) => URL.createObjectURL(blob)));
  }
  try {
    image.src = await pictures.get(path);
    return true;
  } catch {
    pictures.delete(path);
    return false;
  }
}

/** How long nothing may come before the program is taken for gone: it speaks every ten seconds. */
const SILENCE = 30_000;

/** Tells `changed` of events for ever, and `connected` whether the program is there. */
export async function listen(changed, connected) {
  let cursor = null;
  for (;;) {
    await shown();
    const stop = new AbortController();
    // A browser keeps six connections to one place: pages that nobody sees need none.
    const hide = () => document.hidden && stop.abort();
    document.addEventListener("visibilitychange", hide);
    try {
      const answer = await send(`events${cursor === null ? "" : `?after=${encodeURIComponent(cursor)}`}`, { signal: stop.signal });
      connected(true);
      for await (const message of messages(answer.body, stop)) {
        if (message.id !== undefined) cursor = message.id;
        if (message.data) changed(JSON.parse(message.data));
      }
    } catch (error) {
      if (error instanceof Stranger) return;
    } finally {
      document.removeEventListener("visibilitychange", hide);
    }
    if (!document.hidden) {
      connected(false);
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
}

const shown = () => new Promise((done) => {
  if (!document.hidden) return done();
  const look = () => {
    if (document.hidden) return;
    document.removeEventListener("visibilitychange", look);
    done();
  };
  document.addEventListener("visibilitychange", look);
});

/** The messages of a stream of events. */
async function* messages(body, stop) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const silence = setTimeout(() => stop.abort(), SILENCE);
    const { done, value } = await reader.read();
    clearTimeout(silence);
    if (done) return;
    text += value;
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const lines = text.slice(0, end).split("\n").map((line) => /^(\w+): ?(.*)$/.exec(line)).filter(Boolean);
      text = text.slice(end + 2);
      yield Object.fromEntries(lines.map(([, name, value]) => [name, value]));
    }
  }
}
