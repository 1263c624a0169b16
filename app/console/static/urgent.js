// @ts-check
/** New urgent calls: counted in the page's title until somebody does something here, and heard if the switch is on. */

const KEPT = "bedside-sound";
const TITLE = document.title;

/** @returns {HTMLInputElement | null} the switch, which only the queue's page has */
const box = () => /** @type {any} */ (document.getElementById("sound"));

/** Urgent calls and emergencies that waited when the queue was last drawn. @type {Set<string> | null} */
let waiting = null;
/** Those that came since anybody last touched the page, and wait still. @type {Set<string>} */
let fresh = new Set();
/** Calls that wait, urgent or not. */
let total = 0;
/** @type {AudioContext | null} */
let audio = null;

/** @param {string} [value] to be kept; the browser may refuse @returns {string} */
function memory(value) {
  try {
    if (value) localStorage.setItem(KEPT, value);
    return localStorage.getItem(KEPT) || "";
  } catch {
    return "";
  }
}

function title() {
  document.title = (fresh.size ? `${fresh.size} new urgent · ` : "") + (total ? `(${total}) ` : "") + TITLE;
}

/** Two short tones, the second lower. */
function sound() {
  if (audio?.state !== "running") return;
  for (const [at, pitch] of [[0, 880], [0.22, 660]]) {
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    const start = audio.currentTime + at;
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0, start);
    volume.gain.linearRampToValueAtTime(0.3, start + 0.02);
    volume.gain.linearRampToValueAtTime(0, start + 0.2);
    tone.connect(volume).connect(audio.destination);
    tone.start(start);
    tone.stop(start + 0.2);
  }
}

/** Browsers let a page sound only after somebody has touched it: says so until then. */
async function ready() {
  const note = document.getElementById("sound-note");
  if (!note || !box()) return;
  if (box()?.checked) {
    audio ||= new AudioContext();
    // Stays pending for as long as the browser forbids it.
    audio.resume().then(() => (note.textContent = box()?.checked ? "On" : ""));
  }
  note.textContent = !box()?.checked ? "" : audio?.state === "running" ? "On" : "Press any key so that the browser allows it";
}

/** Looks at the queue as it is drawn now. @param {number} count calls that wait */
export function look(count) {
  const now = new Set([...document.querySelectorAll("#waiting :is(.emergency, .urgent).case")].map((call) => call.id));
  const came = [...now].filter((id) => waiting && !waiting.has(id));
  fresh = new Set([...fresh, ...came].filter((id) => now.has(id)));
  waiting = now;
  total = count;
  title();
  if (came.length && box()?.checked) sound();
}

function seen() {
  if (box()?.checked && audio?.state !== "running") ready();
  if (!fresh.size) return;
  fresh.clear();
  title();
}

for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, seen, { passive: true });
const chosen = box();
if (chosen) {
  chosen.checked = memory() === "on";
  chosen.onchange = () => {
    memory(chosen.checked ? "on" : "off");
    // Heard at once: so that whoever turns it on knows the sound, and whether the volume is up.
    ready().then(() => chosen.checked && audio?.resume().then(sound));
  };
  ready();
}
