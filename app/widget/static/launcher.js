/**
 * Puts the chat on a hospital's page: <script src="https://CHAT/widget/launcher.js" async></script>
 * The chat lives in an iframe of another origin, so scripts of the host page cannot read it.
 * Options on the script or on <bedside-chat>: data-lang="es", data-label="Ask us".
 */
(() => {
  const script = document.currentScript;
  const base = new URL(script.src).origin;
  const css = `:host{all:initial}*{box-sizing:border-box}
button{position:fixed;z-index:2147483000;inset:auto 20px 20px auto;display:flex;gap:10px;align-items:center;min-height:56px;padding:0 22px;border:2px solid #fff;border-radius:28px;background:#0b5563;color:#fff;font:600 17px/1 system-ui,sans-serif;cursor:pointer;box-shadow:0 4px 18px #0005}
button:hover{background:#083f4a}button:focus-visible{outline:3px solid #0b5563;outline-offset:3px}
i{width:12px;height:12px;border-radius:50%;background:#ffc94d}
iframe{position:fixed;z-index:2147483001;inset:auto 20px 20px auto;width:min(410px,calc(100vw - 40px));height:min(700px,calc(100vh - 40px));border:1px solid #8aa;border-radius:16px;background:#fff;box-shadow:0 10px 40px #0005}
@media(max-width:480px){iframe{inset:0;width:100%;height:100%;border:0;border-radius:0}}
p{position:fixed;z-index:2147483002;inset:auto 20px 90px auto;max-width:300px;margin:0;padding:14px;border-radius:14px;background:#a3161a;color:#fff;font:600 18px/1.4 system-ui,sans-serif}
[hidden]{display:none!important}@media print{:host{display:none}}`;
  const memory = (value) => {
    try {
      return value === undefined ? sessionStorage.bedsideOpen : (sessionStorage.bedsideOpen = value);
    } catch {}
  };

  class BedsideChat extends HTMLElement {
    connectedCallback() {
      if (this.shadowRoot) return;
      const option = (name) => this.dataset[name] || script.dataset[name];
      const lang = option("lang") || document.documentElement.lang.slice(0, 2) || "en";
      const label = option("label") || (lang === "es" ? "¿Preguntas? Chat" : "Questions? Chat with us");
      const root = this.attachShadow({ mode: "open" });
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(css);
      root.adoptedStyleSheets = [sheet];
      const button = document.createElement("button");
      const dot = document.createElement("i");
      dot.hidden = true;
      button.append(label, dot);
      root.append(button);
      let frame, focusing, ready, exit;
      // Without the service there is no chat to say it; the number came with this script.
      const lost = document.createElement("p");
      lost.role = "alert";
      lost.hidden = true;
      root.append(lost);
      let presses = 0;
      let last = 0;
      // The quick way out after a message about abuse: nothing stays here, and Back does not lead here again.
      const leave = () => {
        try {
          sessionStorage.removeItem("bedsideOpen");
        } catch {}
        root.replaceChildren();
        document.title = "";
        document.documentElement.style.display = "none";
        const referrer = document.createElement("meta");
        referrer.name = "referrer";
        referrer.content = "no-referrer";
        document.head.append(referrer);
        location.replace(exit);
      };
      addEventListener("keydown", (event) => {
        if (!exit || event.key !== "Escape" || event.repeat) return;
        presses = event.timeStamp - last < 1500 ? presses + 1 : 1;
        last = event.timeStamp;
        if (presses < 3) return;
        document.documentElement.style.display = "none";
        // The frame clears what it has stored, and answers.
        frame.contentWindow.postMessage({ bedside: "leave" }, base);
        setTimeout(leave, 300);
      }, true);
      const show = (on, focus) => {
        if (on && !frame) {
          frame = document.createElement("iframe");
          frame.title = label;
          frame.src = `${base}/widget/frame?lang=${lang}`;
          focusing = focus;
          root.append(frame);
          setTimeout(() => {
            if (ready) return;
            lost.hidden = false;
            lost.textContent = lang === "es" ? "No se puede abrir el chat. En una emergencia llame al {emergency}." : "The chat cannot be reached. In an emergency call {emergency}.";
          }, 5000);
        }
        frame.hidden = !on;
        button.setAttribute("aria-expanded", on);
        memory(on ? 1 : 0);
        // Only once the chat can close itself may the button go.
        button.hidden = on && ready;
        if (on) dot.hidden = true;
        if (ready) frame.contentWindow.postMessage({ bedside: on ? "open" : "closed", focus }, base);
        if (focus) (on ? frame : button).focus();
      };
      button.onclick = () => show(!frame || frame.hidden, true);
      addEventListener("message", ({ source, origin, data }) => {
        if (!frame || source !== frame.contentWindow || origin !== base || !data) return;
        if (data.bedside === "ready") {
          ready = lost.hidden = true;
          show(!frame.hidden, focusing);
        }
        if (data.bedside === "close") show(false, true);
        if (data.bedside === "armed" && /^https:/.test(data.url)) exit = data.url;
        if (data.bedside === "leave" && exit) leave();
        if (data.bedside === "unread") {
          dot.hidden = false;
          button.setAttribute("aria-label", `${label} (${data.count})`);
        }
      });
      if (memory() === "1") show(true, false);
    }
  }
  customElements.define("bedside-chat", BedsideChat);
  const insert = () => document.querySelector("bedside-chat") || document.body.append(document.createElement("bedside-chat"));
  if (document.body) insert();
  else addEventListener("DOMContentLoaded", insert);
})();
