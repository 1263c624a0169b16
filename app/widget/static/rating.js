// @ts-check
/** A thumb for an answer, and why. Loaded with the first answer. */

/** @typedef {import("./log.js").Message} Message */

/**
 * @param {Function} h makes elements @param {any} row to be filled @param {Message} m the answer @param {any} t words
 * @param {(m: Message, rating: "up" | "down", reason?: string) => void} rate
 */
export function fillRow(h, row, m, t, rate) {
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
}
