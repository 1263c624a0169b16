// @ts-check
/** The conversation as the patient sees it: a fold over events, without DOM. */

/**
 * @typedef {{route: string, label: string, phone: string | null, text_line?: string | null, text_word?: string,
 *   chat?: string | null, note?: string}} Route
 * @typedef {{article_id: string, title: string, quote: string, reviewed: string, url: string}} Citation
 * @typedef {{article_id: string, title: string}} Choice
 * @typedef {{id: string, position: number, author: "patient" | "assistant" | "staff" | "system", author_name: string,
 *   text: string, language?: string, status: "streaming" | "complete" | "retracted" | "superseded", kind: string, tier: string,
 *   category?: string, routes: Route[], citations: Citation[], choices: Choice[], created_at: string, feedback: "up" | "down" | null}} Message
 */

/** Whether somebody who looks over the patient's shoulder must not see this. @param {Message} m */
export const unsafe = (m) => /^(abuse|violence)$/.test(m.category || "");

export class Log {
  constructor() {
    /** @type {Map<string, Message>} */
    this.byId = new Map();
  }

  /** What is to be shown, in order. */
  get list() {
    return [...this.byId.values()].filter((m) => m.status !== "superseded").sort((a, b) => a.position - b.position);
  }

  /** @param {Message[]} items the whole conversation as the server has it */
  reset(items) {
    this.byId = new Map(items.map((m) => [m.id, m]));
  }

  /** @param {Message} message */
  put(message) {
    const old = this.byId.get(message.id);
    // A crisis card came ahead of its message: never blank it.
    if (old && old.kind === "emergency" && !message.text) message = { ...old, position: message.position };
    if (old && message.feedback === undefined) message.feedback = old.feedback;
    this.byId.set(message.id, message);
  }

  /**
   * @param {string} type @param {any} data
   * @returns {Message | undefined} the message that changed
   */
  apply(type, data) {
    if (data.message) {
      // A second "created" must not blank what has streamed since.
      if (type === "message.completed" || !this.byId.has(data.message.id)) this.put(data.message);
      return this.byId.get(data.message.id);
    }
    const message = this.byId.get(data.message_id);
    if (type === "safety.crisis") {
      const position = message ? message.position : Math.max(0, ...[...this.byId.values()].map((m) => m.position)) + 0.5;
      const base = message || { id: data.message_id, author: "assistant", author_name: "", citations: [], created_at: "", feedback: null };
      this.byId.set(data.message_id, /** @type {Message} */ (
        { ...base, ...data, position, kind: "emergency", status: "complete" }));
    } else if (message && type === "message.delta") {
      // After a retraction the answer may be begun anew.
      message.status = "streaming";
      message.text += data.text;
    } else if (message && type === "message.retracted") {
      message.text = "";
      message.citations = [];
      message.status = "retracted";
    }
    return this.byId.get(data.message_id);
  }
}
