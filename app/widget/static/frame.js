// @ts-check
/** The chat in the iframe: consent, sending, following, and what the patient is told meanwhile. */

import { newKey, Problem, request, retried } from "./api.js";
import { Log, unsafe } from "./log.js";
import { load, save, wipe } from "./storage.js";
import { follow } from "./stream.js";
import { $, dots, fill, h, messageNode, tel } from "./view.js";

const saved = load();
const log = new Log();
const wish = saved.language || new URLSearchParams(location.search).get("lang") || navigator.language;
const language = wish.startsWith("es") ? "es" : "en";
const t = (await import(`./${language}.js`)).default;
/** @type {any} */ let config = null;
/** @type {any} */ let conversation = null;
/** @type {{stop: () => void, nudge: () => void} | null} */ let stream = null;
/** What the patient asked for before accepting; done right after. @type {(() => void) | null} */ let wanted = null;
/** Written before accepting and not an emergency: put back into the composer on accepting. */
let early = "";
/** The message that is being sent. @type {import("./storage.js").Outgoing | null} */ let posting = null;
/** What the service says to a message that it had to refuse and that reads like an emergency. @type {any[]} */ let aid = [];
let live = false;
let open = true;
/** The quick way out, once it was needed. @type {any} */ let exit = null;
/** Ends and erases the chat, once that was asked for. @type {any} */ let eraser = null;
let unread = 0;

const keep = () => save(saved);
const host = (/** @type {object} */ message) => parent !== window && parent.postMessage(message, "*");

/* ---------- telling ---------- */

/** The number to call stands in the page itself, so that it is said without the service too. @param {string} text @param {any} [mend] */
function problem(text, mend) {
  $("problem").replaceChildren(text && `${text} ${$("sos").textContent}. `, mend || "");
}

/** Told of each failure while a message is sent, before the last try. @param {Problem} p */
function trouble(p) {
  if (p.body.safety_text) {
    aid = [{ ...p.body, id: "aid", author: "assistant", kind: "emergency", text: p.body.safety_text }];
    live = true;
    draw();
    toEnd();
  }
  if (p.transient) problem(wording(p));
}

/** Without a session nothing is stored, but the service still says whether the message needs help at once. @param {Problem} p */
function unstored(p) {
  trouble(p);
  if (posting) request("POST", "/v1/conversations/none/messages", { body: { text: posting.text } }).catch(trouble);
}

/** @param {unknown} error @returns {string} */
function wording(error) {
  if (!(error instanceof Problem) || (error.transient && error.status !== 429)) return t.unreachable;
  return error.status === 429 ? t.tooMany : `${error.message} ${error.mend}`.trim();
}

/** @param {string} text */
const announce = (text) => ($("live").textContent = text);

function atEnd() {
  const box = $("scroll");
  return box.scrollHeight - box.scrollTop - box.clientHeight < 120;
}
function toEnd() {
  $("scroll").scrollTop = $("log").lastChild?.offsetTop;
  // Long messages show their top. At 400 % the page itself scrolls.
  scrollTo(0, 9e9);
}

/* ---------- drawing ---------- */

function words() {
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = /** @type {any} */ (t)[node.getAttribute("data-t") || ""];
  for (const name of ["menu", "close", "send"]) $(name).setAttribute("aria-label", /** @type {any} */ (t)[name]);
  $("language").lang = language === "es" ? "en" : "es";
}

function header() {
  const handler = conversation?.handler || "assistant";
  document.body.dataset.handler = handler;
  const who = handler === "assistant" ? config?.assistant_name || t.ai : conversation.who;
  if ($("who").textContent !== who) {
    $("who").textContent = who;
    if (live) announce(who);
  }
  const notes = { assistant: config?.notice.ai_label || t.aiNote, waiting: t.waitingNote, staff: t.personNote };
  $("note").textContent = /** @type {any} */ (notes)[handler] || t.endedNote;
  $("face").textContent = handler === "assistant" ? t.aiTag : handler === "staff" ? who[0] : "…";
  $("talk").textContent = handler === "waiting" ? t.inLine : handler === "staff" ? t.withPerson : t.talk;
  $("talk").setAttribute("aria-disabled", handler !== "assistant");
  const wait = (handler === "waiting" && (conversation.waiting_text || fill(t.position, { n: conversation.queue_position }))) || "";
  const stick = wait && atEnd();
  if ($("waiting").textContent !== wait) $("waiting").textContent = wait;
  if (stick) toEnd();
  $("composer").hidden = handler === "closed";
  $("over").hidden = handler !== "closed";
  if (handler === "closed") $("over").replaceChildren(t.ended, h("button", { className: "main", onclick: startAgain }, t.fresh));
  $("transcript").disabled = !conversation;
}

/** Message id -> node, and what it was drawn from: unchanged ones are not drawn (or announced) again. */
const drawn = new Map();

function draw() {
  const stick = atEnd();
  const list = $("log");
  const last = !saved.outbox[0] && conversation?.handler === "assistant" && log.list.at(-1);
  const node = (/** @type {import("./log.js").Message} */ m) => {
    const pick = m === last && m.kind === "clarify" && choose;
    const sign = JSON.stringify([m.text, m.language, m.status, m.kind, m.routes, m.citations, language, pick]);
    if (drawn.get(m.id)?.sign !== sign) drawn.set(m.id, { sign, node: messageNode(m, { t, language, live, rate, pick }) });
    return drawn.get(m.id).node;
  };
  const nodes = log.list.map(node);
  const known = log.list.filter((m) => m.author === "patient").map((m) => m.text.trim());
  for (const item of saved.outbox) {
    // The event of a message can come before the answer to its POST.
    if (!item.failed && known.includes(item.text.trim()) && posting) continue;
    nodes.push(h("li", { className: "m", "data-author": "patient", "data-status": "pending" },
      h("p", { className: item.failed ? "by failed" : "by" }, item.failed ? t.notSent : t.sending),
      h("div", { className: "text" }, item.text),
      item.failed && h("p", { className: "by" }, h("button", { onclick: () => deliver(item) }, t.again))));
  }
  nodes.push(...aid.map(node));
  nodes.forEach((node, at) => list.children[at] !== node && list.insertBefore(node, list.children[at] || null));
  while (list.children.length > nodes.length) list.lastChild.remove();
  exit ||= [...log.list, ...aid].some(unsafe) && import("./leave.js").then((way) => (way.arm(h, language, clear), toEnd()), () => (exit = null));
  $("empty").hidden = nodes.length > 0 || !$("consent").hidden;
  if (stick && nodes.length) toEnd();
}

function consentCard() {
  const box = $("consent");
  box.hidden = !config || !!saved.consented;
  fit();
  if (box.hidden) return box.replaceChildren();
  box.replaceChildren(
    h("h2", {}, t.before),
    ...config.notice.text.map((/** @type {string} */ line) => h("p", {}, line)),
    h("p", {}, h("strong", {}, t.numbers)),
    h("ul", {}, ...config.emergency.map((/** @type {any} */ r) => h("li", {}, h("a", { href: tel(r.phone) }, r.phone), ` ${r.label}`))),
    h("button", { className: "main", id: "accept", onclick: accept }, t.accept));
}

/** Reads what the hospital says first; who has accepted another notice is asked anew. */
async function configure() {
  config = await retried(() => request("GET", `/v1/widget/config?lang=${language}`));
  if (saved.consented !== config.notice.version) saved.consented = "";
  consentCard();
  header();
}

/* ---------- session ---------- */

/** @type {Promise<void> | null} */
let starting = null;
/** One session and one conversation, however many callers ask at once. */
const start = () => (starting ||= begin().finally(() => (starting = null)));

async function begin() {
  if (!saved.token) {
    const session = await retried(() => request("POST", "/v1/sessions", { body: { consent: !!saved.consented, language } }), unstored);
    saved.token = session.token;
    keep();
  }
  if (!saved.conversation) {
    const key = newKey();
    conversation = await retried(() => request("POST", "/v1/conversations", { token: saved.token, body: {}, key }), unstored);
    saved.conversation = conversation.id;
    keep();
    listen(conversation.last_seq || 0);
  }
  problem("");
  header();
}

async function accept() {
  $("accept").disabled = true;
  try {
    if (saved.token) {
      await retried(() => request("PUT", "/v1/sessions/consent", { token: saved.token, body: { notice_version: config.notice.version } }));
    }
    saved.consented = config.notice.version;
    keep();
    await start();
    $("consent").classList.remove("look");
    consentCard();
    draw();
    saved.draft = $("text").value ||= early;
    early = "";
    $("text").focus();
    const next = wanted;
    wanted = null;
    next?.();
  } catch (error) {
    saved.consented = "";
    consentCard();
    failed(error);
  }
}

/** @param {unknown} error @param {() => void} [again] what to do after accepting, if that is what is missing */
function failed(error, again) {
  const p = /** @type {Problem} */ (error);
  if (p.name === "consent_required") {
    wanted = again || null;
    return askConsent();
  }
  if (p.status === 401 || (p.status === 404 && saved.conversation)) {
    forget();
    return problem(t.expired);
  }
  problem(wording(error));
}

function askConsent() {
  saved.consented = "";
  consentCard();
  draw();
  $("consent").classList.add("look");
  problem(t.acceptFirst);
  $("accept").focus();
}

/** Drops the session, keeps what was written. */
function forget() {
  stream?.stop();
  Object.assign(saved, { token: "", conversation: "", consented: "" });
  saved.draft ||= saved.outbox.map((item) => item.text).join("\n");
  saved.outbox = [];
  keep();
  conversation = null;
  log.reset([]);
  drawn.clear();
  $("text").value = saved.draft;
  consentCard();
  header();
  draw();
}

function startAgain() {
  stream?.stop();
  saved.conversation = "";
  conversation = null;
  log.reset([]);
  drawn.clear();
  keep();
  start().then(draw).catch(failed);
}

/** Reads the conversation anew; returns the sequence number from which events are to be followed. */
async function read() {
  const path = `/v1/conversations/${saved.conversation}`;
  conversation = await retried(() => request("GET", path, { token: saved.token }));
  const items = [];
  let seq = 0;
  for (let next = 0; next !== null; ) {
    const page = await retried(() => request("GET", `${path}/messages?after=${next}&limit=50`, { token: saved.token }));
    items.push(...page.items);
    next = page.next ?? null;
    // What has been streamed up to this event is in the messages already.
    seq = page.last_seq ?? conversation.last_seq;
  }
  log.reset(items);
  header();
  draw();
  return seq;
}

/** @param {number} after */
function listen(after) {
  stream?.stop();
  live = true;
  stream = follow({ url: `/v1/conversations/${saved.conversation}/events`, token: saved.token, after, onEvent, onState(state, error) {
    if (state === "lost") return failed(error);
    const text = state === "retry" ? t.offline : "";
    if ($("connection").textContent === text) return;
    $("connection").textContent = text;
    // The service may have been started anew, with another notice.
    if (!text) configure();
  } });
}

/** @param {string} type @param {any} data */
function onEvent(type, data) {
  if (type === "resync") return read().then(listen, failed);
  if (type === "conversation.status") {
    conversation = data.conversation || conversation;
    typing("", false);
    header();
    return draw();
  }
  if (type === "typing") return typing(data.who, data.on);
  const m = log.apply(type, data);
  if (!m) return;
  draw();
  if (m.author === "patient") return;
  typing("", false);
  if (m.status === "streaming") announce(t.replying);
  if (m.status === "retracted") announce(t.withdrawn);
  if (m.status !== "complete" || type === "safety.crisis") return;
  if (m.kind !== "emergency") announce(`${m.author_name || t.ai}: ${m.text}`);
  // Only the request for consent leaves the words unanswered.
  if (m.kind !== "decline") early = "";
  if (early) askConsent();
  if (!open) host({ bedside: "unread", count: ++unread });
}

/** @param {string} who @param {boolean} on */
function typing(who, on) {
  const stick = atEnd();
  const text = who === "assistant" ? t.replying : fill(t.typing, { who: conversation?.staff_name || who });
  $("typing").hidden = !on;
  if (!on) return;
  $("typing").replaceChildren(dots(), text);
  if (who === "assistant") announce(text);
  if (stick) toEnd();
}

/* ---------- what the patient does ---------- */

/** @param {string} text */
function send(text) {
  const item = { key: newKey(), text };
  saved.outbox.push(item);
  keep();
  deliver(item);
}

/** Answers a clarifying question. Its buttons go, so the messages take the focus. @param {string} title */
function choose(title) {
  send(title);
  $("scroll").focus();
}

/** @param {import("./storage.js").Outgoing} item */
async function deliver(item) {
  if (posting) return;
  posting = item;
  item.failed = false;
  if (!saved.consented) early = item.text;
  $("send").disabled = true;
  draw();
  toEnd();
  try {
    await start();
    const path = `/v1/conversations/${saved.conversation}/messages`;
    const answer = await retried(() => request("POST", path, { token: saved.token, body: { text: item.text }, key: item.key }), trouble);
    drop(item);
    aid = [];
    problem("");
    log.apply("message.created", { message: answer.message });
    if (answer.reply) log.apply("message.completed", { message: answer.reply });
  } catch (error) {
    const p = /** @type {Problem} */ (error);
    early = "";
    if (p.transient) item.failed = true;
    else {
      drop(item);
      $("text").value = saved.draft = [item.text, $("text").value].filter(Boolean).join("\n");
    }
    failed(error, () => $("composer").requestSubmit());
  }
  posting = null;
  $("send").disabled = false;
  keep();
  draw();
}

/** @param {import("./storage.js").Outgoing} item */
function drop(item) {
  saved.outbox = saved.outbox.filter((other) => other !== item);
}

async function talk() {
  if ((conversation?.handler || "assistant") !== "assistant") return;
  try {
    await start();
    conversation = await retried(() => request("POST", `/v1/conversations/${saved.conversation}/handoff`, { token: saved.token, body: {} }));
    header();
    toEnd();
  } catch (error) {
    failed(error, talk);
  }
}

/** @param {import("./log.js").Message} m @param {"up" | "down"} rating @param {string} [reason] */
function rate(m, rating, reason) {
  m.feedback = rating;
  retried(() => request("PUT", `/v1/messages/${m.id}/feedback`, { token: saved.token, body: { rating, reason } })).catch(failed);
}

/** Nothing of the chat stays on this device. */
function clear() {
  aid = [];
  wipe(saved);
  forget();
  $("text").value = "";
}

async function erase() {
  stream?.stop();
  (await eraser)({ ...saved, language, request, retried, h, wiped, problem, announce });
}

function wiped() {
  clear();
  problem("");
  $("connection").textContent = "";
  announce(t.erased);
  $("scroll").scrollTop = 0;
  $("who").focus();
}

function menu(show = $("options").hidden) {
  $("options").hidden = !show;
  $("menu").setAttribute("aria-expanded", show);
}

function fit() {
  const box = $("text");
  if (!CSS.supports("field-sizing", "content")) {
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + 2}px`;
  }
  const over = box.value.length - (config?.max_characters || 4000);
  $("hint").textContent = over > 0 ? fill(t.tooLong, { n: over }) : $("consent").hidden ? "" : t.writeEarly;
  box.setAttribute("aria-invalid", over > 0);
}

function wire() {
  $("composer").onsubmit = (/** @type {Event} */ event) => {
    event.preventDefault();
    const text = $("text").value.trim();
    // One that is too long is sent as well: the service refuses it, but sees whether it needs help at once.
    if (!text || posting) return $("text").focus();
    saved.draft = $("text").value = "";
    fit();
    send(text);
  };
  $("text").oninput = () => {
    saved.draft = $("text").value;
    keep();
    fit();
  };
  $("text").onkeydown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && matchMedia("(pointer: fine)").matches) {
      event.preventDefault();
      $("composer").requestSubmit();
    }
  };
  $("talk").onclick = talk;
  $("menu").onclick = () => menu();
  $("transcript").onclick = () => {
    menu(false);
    import("./transcript.js").then((file) => file.download(saved)).catch(failed);
  };
  $("erase").onclick = () => {
    menu(false);
    eraser = import("./erase.js").then((file) => file.erase, () => () => (wiped(), problem(t.unreachable)));
    $("ask").showModal();
  };
  $("ask-no").onclick = () => $("ask").close();
  $("ask-yes").onclick = () => ($("ask").close(), erase());
  $("language").onclick = () => {
    saved.language = language === "es" ? "en" : "es";
    keep();
    location.reload();
  };
  $("close").onclick = () => host({ bedside: "close" });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || $("ask").open) return;
    if ($("options").hidden) return host({ bedside: "close" });
    menu(false);
    $("menu").focus();
  });
  document.addEventListener("click", (event) => {
    if (!(/** @type {Element} */ (event.target).closest(".bar"))) menu(false);
  });
  addEventListener("online", () => stream?.nudge());
  addEventListener("message", (event) => {
    if (event.source !== parent || !event.data) return;
    if (event.data.bedside === "open") {
      open = true;
      unread = 0;
      if (event.data.focus) $(saved.consented ? "text" : "who").focus();
    }
    if (event.data.bedside === "closed") open = false;
  });
}

async function boot() {
  words();
  header();
  wire();
  $("close").hidden = parent === window;
  // On a slow line the page can be written in before its scripts are there: that stays.
  saved.draft = $("text").value ||= saved.draft;
  $("send").disabled = false;
  host({ bedside: "ready" });
  try {
    await configure();
  } catch {
    return problem(t.unreachable, h("button", { onclick: () => location.reload() }, t.again));
  }
  if (saved.token && saved.conversation) {
    try {
      listen(await read());
      toEnd();
      // Written before the reload and not confirmed: sent again under the same key, so never twice.
      for (const item of [...saved.outbox]) await deliver(item);
    } catch (error) {
      failed(error);
    }
  }
  draw();
}

boot();
