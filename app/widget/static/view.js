// @ts-check
/** Draws messages. All text goes in as text nodes; the page has no HTML sink (Trusted Types: none). */


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
 * @param {{t: any, language: string, live: boolean, rate: (m: Message, rating: "up" | "down", reason?: string) => void}} about
 *   live: the message arrived just now, so a crisis card is announced
 */
export function messageNode(m, { t, language, live, rate }) {
  const props = { className: "m", "data-author": m.author, "data-status": m.status, "data-id": m.id };
  if (m.kind === "emergency") return crisisNode(m, props, t, live);
  if (m.author === "system") return h("li", props, h("p", { className: "text" }, m.text));
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
    assistant && m.status === "complete" && ratingNode(m, t, rate));
}

/** @param {Message} m @param {object} props @param {any} t @param {boolean} live */
function crisisNode(m, props, t, live) {
  const card = h("div", { className: "card" }, h("h2", {}, t.help), h("p", {}, m.text),
    h("div", {}, ...m.routes.filter((r) => r.phone).flatMap((r) => [
      h("a", { href: tel(r.phone || "") }, h("span", {}, fill(t.call, { phone: r.phone || "" })), h("span", {}, r.label)),
      r.phone === "988" && h("a", { className: "second", href: tel("988", "sms") }, fill(t.text, { phone: "988" })),
    ])));
  if (live) card.setAttribute("role", "alert");
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

/** @param {Message} m @param {any} t @param {(m: Message, rating: "up" | "down", reason?: string) => void} rate */
function ratingNode(m, t, rate) {
  const row = h("div", { className: "rate" });
  const button = (/** @type {"up" | "down"} */ rating, /** @type {string} */ label) =>
    h("button", { type: "button", "aria-pressed": String(m.feedback === rating), "data-rating": rating, onclick() {
      rate(m, rating);
      for (const b of row.querySelectorAll("[data-rating]")) b.setAttribute("aria-pressed", String(b === this));
      row.querySelector(".why")?.remove();
      if (rating === "down") row.append(why());
    } }, label);
  const why = () => h("div", { className: "rate why", role: "group", "aria-label": t.why }, h("span", {}, t.why),
    ...t.reasons.map((/** @type {string} */ reason) => h("button", { type: "button", onclick() {
      rate(m, "down", reason);
      const done = h("span", { tabIndex: -1 }, t.thanks);
      this.parentNode.replaceWith(done);
      done.focus();
    } }, reason)));
  row.append(button("up", t.good), button("down", t.bad));
  return row;
}
