// @ts-check
/** What stands below an answer: a thumb, and why; below a clarifying question its choices. Loaded with the first answer. */

/** @typedef {import("./log.js").Message} Message */

/**
 * @param {Function} h makes elements @param {any} row to be filled @param {Message} m the answer @param {any} t words
 * @param {(m: Message, rating: "up" | "down", reason?: string) => void} rate
 * @param {false | ((title: string) => void)} pick sends the title of a choice; false: the time to choose is over
 */
export function fillRow(h, row, m, t, rate, pick) {
  if (m.kind === "clarify") {
    if (pick) choices(h, row, m, pick);
    else row.remove();
    return;
  }
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

/** The buttons say what the lines below the question say. @param {Function} h @param {any} row @param {Message} m @param {(title: string) => void} pick */
function choices(h, row, m, pick) {
  const question = m.text.split("\n\n")[0];
  const page = row.closest("main");
  row.previousElementSibling.textContent = question;
  row.replaceWith(h("div", { className: "extra", role: "group", "aria-label": question },
    ...m.choices.map(({ title }) => h("button", { type: "button", onclick: () => pick(title) }, title))));
  // They came after the message was scrolled to.
  page.scrollTop = page.scrollHeight;
}
