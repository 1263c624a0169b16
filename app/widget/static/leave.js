// @ts-check
/**
 * The quick way out after a message about abuse or violence. Loaded only then, and needs no server afterwards: the
 * chat is cleared from page and storage, and a neutral page takes the place of this one in the history.
 */

const WORDS = {
  en: {
    name: "Leave quickly",
    leave: "Leave this page",
    hint: "Or press Esc three times. The chat is cleared here.",
    how: "Your browser's history still shows this site",
    steps: "To clear it, open the browser's menu, choose History, and delete this website or the last hour. A private window keeps no history.",
    more: "Press Esc {n} more to leave this page.",
  },
  es: {
    name: "Salir rápido",
    leave: "Salir de esta página",
    hint: "O presione Esc tres veces. El chat se borra aquí.",
    how: "El historial del navegador aún muestra este sitio",
    steps: "Para borrarlo, abra el menú del navegador, elija Historial y borre este sitio o la última hora. Una ventana privada no guarda historial.",
    more: "Presione Esc {n} más para salir de esta página.",
  },
};

const CSS = `#leave{position:sticky;inset-block-start:0;z-index:1;display:grid;gap:.35rem;padding:.6rem .75rem;background:var(--ink);color:var(--page);font-size:.85rem}
#leave button{background:var(--page);color:var(--ink);border:2px solid var(--page);font-size:1.05rem}
#leave :focus-visible{outline-color:var(--page)}
#leave summary{cursor:pointer;font-weight:600;padding-block:.3rem}
@media(max-height:420px){#leave :not(button){display:none}}
@media(forced-colors:active){#leave{border:2px solid}}`;

/** Between two presses of Esc, milliseconds. */
const APART = 1500;

/**
 * Shows the way out and listens for Esc, three times.
 * @param {Function} h makes elements @param {"en" | "es"} language @param {() => void} clear empties page and session
 */
export function arm(h, language, clear) {
  const words = WORDS[language];
  const url = document.body.dataset.exit || "";
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(CSS);
  document.adoptedStyleSheets = [sheet];

  const leave = () => {
    document.documentElement.hidden = true;
    document.title = "";
    // What is still under way may not store anything again.
    Storage.prototype.setItem = () => {};
    sessionStorage.clear();
    clear();
    if (parent === window) return location.replace(url);
    parent.postMessage({ bedside: "leave" }, "*");
    // Where the page around the chat does not answer.
    setTimeout(() => top?.location.replace(url), 300);
  };

  document.querySelector("header")?.after(h("section", { id: "leave", "aria-label": words.name },
    h("button", { type: "button", onclick: leave }, words.leave),
    h("p", {}, words.hint),
    h("details", {}, h("summary", {}, words.how), h("p", {}, words.steps))));
  parent.postMessage({ bedside: "armed", url }, "*");
  addEventListener("message", ({ source, data }) => source === parent && data?.bedside === "leave" && leave());

  let presses = 0;
  let last = 0;
  // Before the chat's own handler, which would close the panel at the first press.
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.repeat) return;
    presses = event.timeStamp - last < APART ? presses + 1 : 1;
    last = event.timeStamp;
    if (presses > 2) return leave();
    const live = document.getElementById("live");
    if (live) live.textContent = words.more.replace("{n}", String(3 - presses));
    if (document.getElementById("options")?.hidden) event.stopPropagation();
  }, true);
}
