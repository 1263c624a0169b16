// @ts-check
/** Server-sent events over fetch (EventSource cannot send Authorization), resumed by Last-Event-ID. */

import { Problem, sleep } from "./api.js";

/**
 * Splits text/event-stream into events; chunks may break anywhere.
 * @param {(event: {id: number, type: string, data: any}) => void} emit id is NaN for events outside the log
 * @returns {(chunk: string) => void}
 */
export function parser(emit) {
  let buffer = "";
  let fields = /** @type {Record<string, string>} */ ({});
  return (chunk) => {
    buffer += chunk;
    for (let end; (end = /\r\n|\n|\r(?!$)/.exec(buffer)); ) {
      const line = buffer.slice(0, end.index);
      buffer = buffer.slice(end.index + end[0].length);
      if (line) {
        const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line) || [];
        if (name) fields[name] = name === "data" && "data" in fields ? `${fields.data}\n${value}` : value;
      } else {
        if ("data" in fields) {
          emit({ id: "id" in fields ? Number(fields.id) : NaN, type: fields.event || "message", data: JSON.parse(fields.data || "{}") });
        }
        fields = {};
      }
    }
  };
}

/**
 * Follows a conversation until stopped. Each event is given once and in order; a gap asks for a resync.
 * @param {{url: string, token: string, after: number, onEvent: (type: string, data: any) => void,
 *   onState: (state: "open" | "retry" | "lost", problem?: Problem) => void}} options
 * @returns {{stop: () => void, nudge: () => void}} nudge: reconnect now
 */
export function follow({ url, token, after, onEvent, onState }) {
  let last = after;
  let stopped = false;
  let wait = 0;
  let connection = new AbortController();
  let wake = () => {};

  /** @param {{id: number, type: string, data: any}} event */
  const take = ({ id, type, data }) => {
    // A resync may step back: the store was restored from a copy.
    if (type !== "resync" && id <= last) return;
    if (id > last + 1) onEvent("resync", {});
    if (id > last) last = id;
    if (!stopped) onEvent(type, data);
  };

  const connect = async () => {
    connection = new AbortController();
    let timer = 0;
    // The server sends a comment every 15 s; 40 s of silence is a dead connection.
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => connection.abort(), 40000);
    };
    alive();
    try {
      const headers = { Accept: "text/event-stream", Authorization: `Bearer ${token}`, "Last-Event-ID": String(last) };
      const response = await fetch(url, { headers, cache: "no-store", signal: connection.signal });
      if ([401, 403, 404].includes(response.status)) throw new Problem(response.status, await response.json().catch(() => ({})));
      if (!response.ok || !response.body) return;
      onState("open");
      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      // Anew: half an event of a dropped connection is forgotten.
      const feed = parser(take);
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        wait = 0;
        alive();
        feed(decoder.decode(value, { stream: true }));
      }
    } finally {
      clearTimeout(timer);
    }
  };

  (async () => {
    while (!stopped) {
      try {
        await connect();
      } catch (error) {
        if (error instanceof Problem && !stopped) {
          stopped = true;
          onState("lost", error);
        }
      }
      if (stopped) return;
      // The first reconnection comes at once and is not worth a word: servers end streams now and then.
      if (wait) onState("retry");
      wait = Math.min(10000, wait * 2 || 400);
      await Promise.race([sleep(wait * (0.5 + Math.random() / 2)), new Promise((done) => (wake = () => done(0)))]);
    }
  })();

  return {
    stop() {
      stopped = true;
      connection.abort();
      wake();
    },
    nudge: () => wake(),
  };
}
