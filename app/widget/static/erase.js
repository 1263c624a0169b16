// @ts-check
/** Ends a chat and erases it, here and at the hospital, and says what came of it. Loaded with the question. */

const WORDS = {
  en: {
    done: "The chat was erased from this device and at the hospital.",
    kept: "The chat was erased from this device. The hospital keeps it until a person has seen to what may be an emergency.",
    held: "The chat was erased from this device. The hospital has to keep it for now; ask the hospital until when.",
    failed: "The chat was erased from this device, but not at the hospital.",
    again: "Try again",
  },
  es: {
    done: "El chat se borró de este dispositivo y del hospital.",
    kept: "El chat se borró de este dispositivo. El hospital lo guarda hasta que una persona atienda lo que puede ser una emergencia.",
    held: "El chat se borró de este dispositivo. El hospital tiene que guardarlo por ahora; pregunte al hospital hasta cuándo.",
    failed: "El chat se borró de este dispositivo, pero no del hospital.",
    again: "Reintentar",
  },
};

/**
 * @param {{
 *   token: string, conversation: string, language: "en" | "es", h: Function,
 *   request: typeof import("./api.js").request, retried: typeof import("./api.js").retried,
 *   wiped: () => void, problem: (text: string, mend?: any) => void, announce: (text: string) => void,
 * }} page wiped: empties this device, and says so
 */
export async function erase({ token, conversation, language, h, request, retried, wiped, problem, announce }) {
  const path = `/v1/conversations/${conversation}`;
  if (conversation) await request("POST", `${path}/close`, { token, body: {} }).catch(() => 0);
  wiped();
  if (conversation) await there();
  else if (token) ends();

  async function there() {
    const words = WORDS[language];
    try {
      await retried(() => request("DELETE", path, { token }));
    } catch (error) {
      const { status, name, transient } = /** @type {import("./api.js").Problem} */ (error);
      if (status === 409) {
        ends();
        return problem(name === "legal_hold" ? words.held : words.kept);
      }
      // 404: an earlier try has erased it, and its answer was lost.
      if (status !== 404) return problem(words.failed, transient && h("button", { onclick: there }, words.again));
    }
    ends();
    problem("");
    announce(words.done);
  }

  /** Nobody needs the token any more; if this is lost, the service ends it a day after it was given. */
  function ends() {
    request("DELETE", "/v1/sessions/current", { token }).catch(() => 0);
  }
}
