// @ts-check
/** Draws messages. All text goes in as text nodes; the page has no HTML sink (Trusted Types: none). */

import { unsafe } from "./log.js";

/** @typedef {import("./log.js").Message} Message */

/** @param {string} pattern with {names} @param {Record<string, string | number>} values */
export const fill = (pattern, values) => pattern.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));

/** @param {string} id @returns {any} */
export const $ = (id) => document.getElementById(id);

/**
 * @param {string} tag @param {Record<string, any>} [props] properties, or attributes where there is no such property
 * @param {...(Node | string | null | false | undefined)} kids
 * @returns {any}
 */
export function h(tag, props = {}, ...kids) {
  const node = /** @type {any} */ (document.createElement(tag));
  for (const [name, value] of Object.entries(props)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...kids.filter((kid) => kid));
  return node;
}

/** @param {string} phone as it is shown */
export const tel = (phone, scheme = "tel") => `${scheme}:${phone.replace(/[^+\d]/g, "")}`;

/** @param {string} iso @param {string} language */
function day(iso, language) {
  // A plain date is a day of the calendar, in no time zone.
  const date = new Date(iso.length === 10 ? `${iso}T12:00:00` : iso);
  return isNaN(+date) ? iso : date.toLocaleDateString(language, { dateStyle: "medium" });
}

export const dots = () => h("span", { className: "dots" }, h("i"), h("i"), h("i"));

/**
 * @param {Message} m
 * @param {{t: any, language: string, live: boolean, rate: (m: Message, rating: "up" | "down", reason?: string) => void,
 *   pick: false | ((title: string) => void)}} about
 *   live: the message arrived just now, so a crisis card is announced; pick: its choices can be pressed
 */
export function messageNode(m, { t, language, live, rate, pick }) {
  const props = { className: "m", "data-author": m.author, "data-status": m.status, "data-id": m.id };
  if (m.kind === "emergency") return crisisNode(m, props, t, language, live);
  if (m.author === "system") return h("li", props, h("p", { className: "text" }, m.text), extras(m, t, language));
  const assistant = m.author === "assistant";
  const name = m.author === "patient" ? t.you : m.author_name || t.ai;
  const gone = m.status === "retracted";
  const body = gone ? (live ? t.withdrawn : t.withdrawnDone) : m.text;
  return h("li", props,
    h("p", { className: "by" }, name,
      assistant && h("span", { className: "tag" }, t.aiTag),
      m.author === "staff" && h("span", { className: "tag" }, t.personTag)),
    h("div", { className: "text" }, body || dots()),
    m.status === "complete" && extras(m, t, language),
    assistant && m.status === "complete" && belowNode(m, t, rate, pick));
}

/** Words of a crisis card, which is in the language of its message: heading, and before a number, and for a page. @type {any} */
const CARD = {
  en: ["Get help now", "Call ", "Text ", "Chat online"],
  es: ["Busque ayuda ahora", "Llamar al ", "Mensaje al ", "Chat en línea"],
};

/** @param {Message} m @param {object} props @param {any} t @param {string} language of the chat @param {boolean} live */
function crisisNode(m, props, t, language, live) {
  const lang = m.language || language;
  const [help, call, text, chat] = CARD[lang] || CARD.en;
  const card = h("div", { className: "card", lang, ...(live && { role: "alert" }) }, h("h2", {}, help), h("p", {}, m.text),
    h("div", {}, ...m.routes.flatMap((r) => [
      r.phone && h("a", { href: tel(r.phone) }, h("span", {}, call + r.phone), h("span", {}, r.label)),
      r.text_line && h("a", { className: "second", href: tel(r.text_line, "sms") },
        text + r.text_line, r.text_word && `: ${r.text_word}`),
      // The page of a hotline would stay in the history.
      r.chat && !unsafe(m) && h("a", { className: "second", href: r.chat, target: "_blank", rel: "noopener noreferrer" }, chat),
      r.note && h("p", { className: "by" }, r.note),
    ])));
  return h("li", { ...props, className: "m crisis" },
    h("p", { className: "by" }, m.author_name || t.ai, h("span", { className: "tag" }, t.aiTag)), card);
}

/** @param {Message} m @param {any} t @param {string} language */
function extras(m, t, language) {
  const items = [
    ...(m.routes || []).map((r) => h("li", {}, r.label, r.phone ? ": " : "", r.phone && h("a", { href: tel(r.phone) }, r.phone),
      r.note ? ` · ${r.note}` : "")),
    ...(m.citations || []).map((c) => h("li", { className: "source", title: c.quote || "" }, `${t.source} `,
      h("a", { href: c.url, target: "_blank", rel: "noopener noreferrer" }, c.title, h("span", { className: "hidden" }, ` (${t.newTab})`)),
      ` · ${fill(t.reviewed, { date: day(c.reviewed, language) })}`)),
  ];
  return items.length ? h("ul", { className: "extra" }, ...items) : null;
}

/**
 * Filled by a module of its own, once an answer is there.
 * @param {Message} m @param {any} t @param {(m: Message, rating: "up" | "down", reason?: string) => void} rate
 * @param {false | ((title: string) => void)} pick
 */
function belowNode(m, t, rate, pick) {
  const row = h("div", { className: "rate" });
  import("./below.js").then((below) => below.fillRow(h, row, m, t, rate, pick), () => 0);
  return row;
}
