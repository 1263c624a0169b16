// @ts-check
/** The console in the browser: posts to the JSON API, follows its events, keeps times and the composer's lock right. */

import { look } from "./urgent.js";

/** @param {string} id @returns {any} */
const $ = (id) => document.getElementById(id);

/** @param {string} text */
const flash = (text) => ($("flash").textContent = text);

/** @param {string} selector @param {ParentNode} [root] @returns {any[]} */
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** Asks htmx to read a live part again. @param {Element} part */
const refresh = (part) => /** @type {any} */ (window).htmx?.trigger(part, "changed");

const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

/* ---------- posting ---------- */

/**
 * @param {string} path @param {object} body @param {{key?: string, version?: string}} [options] key: Idempotency-Key;
 * version: of the conversation as it was seen, refused if it has changed since
 * @returns {Promise<any>} the JSON answer, or null for 204; throws an Error with a sentence for the user
 */
async function post(path, body, { key = newKey(), version } = {}) {
  /** @type {Record<string, string>} */
  const headers = { "Content-Type": "application/json", "X-Bedside-Console": "1", "Idempotency-Key": key };
  if (version) headers["If-Match"] = `"${version}"`;
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) }).catch(() => null);
  if (!response) throw new Error("The service cannot be reached. Nothing was changed; try again.");
  if (response.ok) return response.status === 204 ? null : response.json();
  if (response.status === 401 && document.body.dataset.page) location.assign("/console/sign-in");
  const problem = await response.json().catch(() => ({}));
  throw new Error([problem.detail || problem.title || `The service answered ${response.status}.`, problem.mend].filter(Boolean).join(" "));
}

/** @param {string | undefined} then where to go @param {any} answer */
function proceed(then, answer) {
  if (then === "claimed") {
    if (answer) location.assign(`/console/conversations/${answer.escalation.conversation_id}`);
    else flash("Nobody is waiting.");
  } else if (then === "next") {
    const next = new URLSearchParams(location.search).get("next") || "";
    location.assign(/^\/console\/[\w/-]*$/.test(next) ? next : "/console/");
  } else if (then) location.assign(then);
  else all("[data-live]").forEach(refresh);
}

/** @param {string} text @returns {Promise<boolean>} */
function confirmed(text) {
  $("ask-text").textContent = text;
  $("ask").showModal();
  return new Promise((done) => $("ask").addEventListener("close", () => done($("ask").returnValue === "yes"), { once: true }));
}

/** @param {any} button @param {() => Promise<any>} act @param {string} [then] */
async function during(button, act, then) {
  if (button.disabled) return;
  const focused = document.activeElement === button;
  button.disabled = true;
  flash("");
  try {
    proceed(then, await act());
  } catch (error) {
    flash(/** @type {Error} */ (error).message);
    all("[data-live]").forEach(refresh);
  }
  button.disabled = false;
  // A disabled button has lost the focus; with it back, a redraw keeps the place of who works by keyboard.
  if (focused && document.activeElement === document.body) button.focus();
}

document.addEventListener("click", async (event) => {
  const button = /** @type {any} */ (event.target).closest("button");
  if (!button) return;
  const { post: path, body, then, confirm, open, close } = button.dataset;
  // What is seen now: behind an open dialog the thread goes on, and is not read.
  const version = $("thread")?.dataset.version;
  if (open) {
    $(open).showModal();
    $(open).dataset.version = version;
  }
  if (close) $(close).close();
  if (!path || (confirm && !(await confirmed(confirm)))) return;
  const guarded = body === "version";
  during(button, () => post(path, guarded ? {} : JSON.parse(body || "{}"), guarded ? { version } : {}), then);
});

/** A failed post is repeated under the same key, so it is never stored twice. @type {WeakMap<Element, {text: string, key: string}>} */
const tried = new WeakMap();

document.addEventListener("submit", (event) => {
  const form = /** @type {any} */ (event.target);
  if (!form.dataset.form) return;
  event.preventDefault();
  const body = Object.fromEntries(new FormData(form));
  const text = JSON.stringify(body);
  const key = tried.get(form)?.text === text ? tried.get(form)?.key : newKey();
  tried.set(form, { text, key: key || "" });
  const dialog = form.closest("dialog");
  dialog?.close();
  during(form.querySelector("button.main"), async () => {
    const answer = await post(form.dataset.form, body, { key, version: dialog?.dataset.version });
    tried.delete(form);
    if ("clear" in form.dataset) form.reset();
    return answer;
  }, form.dataset.then);
});

document.addEventListener("change", (event) => {
  const field = /** @type {any} */ (event.target);
  if (field.name !== "disposition") return;
  for (const part of all("[data-if]", field.form)) {
    part.hidden = part.dataset.if !== field.value;
    for (const inner of all("select", part)) inner.disabled = part.hidden;
  }
});

document.addEventListener("keydown", (event) => {
  const field = /** @type {any} */ (event.target);
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && field.form?.dataset.form) field.form.requestSubmit();
});

/* ---------- what is shown ---------- */

/** @param {number} ms */
function span(ms) {
  const s = Math.abs(ms) / 1000;
  if (s >= 86400) return `${Math.floor(s / 86400)} d`;
  if (s >= 3600) return `${Math.floor(s / 3600)} h`;
  return s >= 60 ? `${Math.floor(s / 60)} min` : `${Math.floor(s)} s`;
}

function times() {
  for (const node of all("[data-age]")) node.textContent = `${span(Date.now() - Date.parse(node.dateTime))} ago`;
  for (const node of all("[data-due]")) {
    const left = Date.parse(node.dataset.due) - Date.now();
    const words = left < 0 ? `overdue by ${span(left)}` : `due in ${span(left)}`;
    node.textContent = node.dataset.lead ? `${node.dataset.lead} ${words}` : words[0].toUpperCase() + words.slice(1);
    node.classList.toggle("late", left < 0);
  }
}

/** How many waited when the page was last drawn. */
let waiting = -1;

function settle() {
  const thread = $("thread");
  if (thread) {
    for (const part of all("[data-show]")) part.hidden = part.dataset.show !== thread.dataset.state;
    for (const part of all("button[data-crisis]")) part.hidden = part.dataset.crisis !== thread.dataset.crisis;
    $("owner").textContent = thread.dataset.owner;
  }
  const count = document.querySelector("[data-count]");
  if (count) {
    const now = Number(/** @type {any} */ (count).dataset.count);
    look(now);
    if (waiting >= 0 && now > waiting) $("said").textContent = `${now} waiting`;
    waiting = now;
  }
  times();
}

/** Open details and the place in the thread survive a redraw. @type {{open: string[], end: boolean, count: number}} */
let before = { open: [], end: true, count: 0 };
const atEnd = () => innerHeight + scrollY > document.documentElement.scrollHeight - 160;

document.addEventListener("htmx:beforeSwap", () => {
  before = { open: all("details[open]").map((node) => node.id), end: atEnd(), count: all(".m").length };
});
document.addEventListener("htmx:afterSwap", () => {
  before.open.forEach((id) => $(id) && ($(id).open = true));
  settle();
  const messages = all(".m");
  if (messages.length > before.count) {
    const last = messages[messages.length - 1];
    if (last.classList.contains("patient")) $("said").textContent = `Patient: ${last.querySelector(".text").textContent}`;
    if (before.end) scrollTo(0, document.documentElement.scrollHeight);
  }
});
// Until now htmx has kept the classes that a node with the same id had before.
document.addEventListener("htmx:afterSettle", settle);
document.addEventListener("htmx:responseError", () => flash("This page could not be brought up to date. Trying again."));

/* ---------- events ---------- */

/** @type {Map<Element, number>} */
const due = new Map();
/** Several events in a row cause one redraw. @param {(about: string) => boolean} wanted */
function changed(wanted) {
  for (const part of all("[data-live]")) {
    if (!wanted(part.dataset.live)) continue;
    clearTimeout(due.get(part));
    due.set(part, setTimeout(refresh, 60, part));
  }
}

function follow() {
  const events = new EventSource("/v1/staff/events");
  const state = (/** @type {string} */ text, /** @type {boolean} */ ok) => {
    $("link").textContent = text;
    $("link").classList.toggle("off", !ok);
  };
  let broken = false;
  events.onopen = () => {
    state("Live", true);
    // What happened while the connection was down.
    if (broken) changed(() => true);
    broken = false;
  };
  events.onerror = () => {
    broken = true;
    state("Reconnecting…", false);
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  };
  for (const name of ["escalation.created", "escalation.claimed", "escalation.resolved"]) {
    events.addEventListener(name, (event) => {
      const id = JSON.parse(event.data).escalation?.conversation_id;
      changed((about) => about === "escalation" || about === id);
    });
  }
  events.addEventListener("message.created", (event) => {
    const id = JSON.parse(event.data).conversation_id;
    changed((about) => about === id || about === "escalation");
  });
  events.addEventListener("adapter.changed", () => changed((about) => about === "adapter"));
}

/* ---------- unattended ---------- */

let touched = Date.now();
// Not "scroll": the page scrolls itself when a message comes.
for (const kind of ["pointerdown", "keydown", "wheel", "touchmove"]) {
  addEventListener(kind, () => (touched = Date.now()), { passive: true });
}

/** When the server last heard that somebody is here. Reading and typing send nothing, and redraws do not count there. */
let told = Date.now();
let watching = 0;

function watch() {
  const limit = Number(document.body.dataset.idleMinutes) * 60000;
  if (touched > told && Date.now() - told > limit / 4) {
    told = Date.now();
    fetch("/v1/staff/me").catch(() => null);
  }
  const left = limit - (Date.now() - touched);
  if (left <= 0) {
    clearInterval(watching);
    return post("/v1/staff/sign-out", {}).finally(() => location.assign("/console/sign-in"));
  }
  if (left < 120000) flash(`You will be signed out in ${span(left)} because nothing was done here. Press any key to stay.`);
  else if ($("flash").textContent.startsWith("You will be signed out")) flash("");
}

settle();
if ($("thread")) scrollTo(0, document.documentElement.scrollHeight);
setInterval(times, 10000);
if (document.body.dataset.idleMinutes) {
  follow();
  watching = setInterval(watch, 5000);
}
