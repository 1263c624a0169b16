// @ts-check
/**
 * What survives a reload, kept in the iframe's own sessionStorage: the host page cannot read it (other origin), it lasts
 * through reloads and page changes in this tab, and it goes when the tab is closed, which is right for a shared or public computer.
 * Where the browser blocks storage in frames the chat works from memory and a reload starts anew.
 */

const NAME = "bedside";

/**
 * @typedef {{key: string, text: string, failed?: boolean}} Outgoing a message that the service has not confirmed
 * @typedef {{token: string, consented: string, conversation: string, language: string, draft: string, outbox: Outgoing[]}} Saved
 * consented: the version of the notice that was accepted
 */

/** @type {Saved} */
const EMPTY = { token: "", consented: "", conversation: "", language: "", draft: "", outbox: [] };

/** @returns {Saved} */
export function load() {
  try {
    return { ...EMPTY, outbox: [], ...JSON.parse(sessionStorage.getItem(NAME) || "{}") };
  } catch {
    return { ...EMPTY, outbox: [] };
  }
}

/** @param {Saved} saved */
export function save(saved) {
  try {
    sessionStorage.setItem(NAME, JSON.stringify(saved));
  } catch {
    /* memory only */
  }
}

/** @param {Saved} saved emptied in place; the language stays */
export function wipe(saved) {
  Object.assign(saved, EMPTY, { outbox: [], language: saved.language });
  save(saved);
}
