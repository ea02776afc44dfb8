// What the reader has chosen, in the address: a link shows what its sender saw, and Back goes a step back.
//
// The part after "#" is an anchor, then what differs from the page as it opens: "#gates?class=cat&order=mean".
// What it says of anything unknown is left aside.

const kept = new Map(); // key -> { get, set, flows }
const FLOW = 300; // milliseconds after which a move, or typing, has come to its end
const MOST = 5000; // values of a key: a link of more is nobody's choice

/**
 * Keep something in the address.
 * @param key Its name there.
 * @param part.get Returns it as a list of texts; empty as the page opens.
 * @param part.set Takes such a list; what it does not know it leaves aside.
 * @param part.flows Whether it changes in many small steps, which are one for Back.
 */
function keep(key, part) {
  kept.set(key, part);
}

/** Keep the value of a control; it opens with the one it has now. */
function keepControl(key, control, { flows = false } = {}) {
  const box = control.type === "checkbox";
  const value = () => (box ? String(Number(control.checked)) : control.value);
  const first = value();
  const known = (text) =>
    box
      ? ["0", "1"].includes(text)
      : control.tagName !== "SELECT" || [...control.options].some((one) => one.value === text);
  keep(key, {
    flows,
    get: () => (value() === first ? [] : [value()]),
    set: ([text = first]) => {
      const wanted = known(text) ? text : first;
      if (wanted === value()) return;
      if (box) control.checked = wanted === "1";
      else control.value = wanted;
      for (const kind of ["input", "change"]) control.dispatchEvent(new Event(kind, { bubbles: true }));
    },
  });
}

let anchor = ""; // where the reader went last
let saved = ""; // what the address says now
let lastKey = null; // the one thing that the last step changed
let settingOut = true; // nothing is written while the address is read

function readAddress(hash) {
  const [place, rest] = hash.slice(1).split(/\?(.*)/s);
  const said = new Map();
  for (const [key, value] of new URLSearchParams(rest ?? "")) {
    if (!kept.has(key)) continue;
    const values = said.get(key);
    if (values === undefined) said.set(key, [value]);
    else if (values.length < MOST) values.push(value);
  }
  let name = "";
  try {
    name = decodeURIComponent(place ?? "");
  } catch {
    // Damaged: there is no such place.
  }
  return { name, said };
}

function nowSaid() {
  return new Map([...kept].map(([key, { get }]) => [key, get()]).filter(([, values]) => values.length > 0));
}

function written(now) {
  const pairs = [...now].flatMap(([key, values]) => values.map((value) => [key, value]));
  // Commas and colons mean nothing there, and are easier to read.
  const said = String(new URLSearchParams(pairs)).replaceAll("%2C", ",").replaceAll("%3A", ":");
  const rest = said ? `?${said}` : "";
  return anchor || rest ? `#${encodeURIComponent(anchor)}${rest}` : "";
}

/** Return the one key of which two addresses differ; null if there are several. */
function onlyChange(before, after) {
  const [old, now] = [readAddress(before), readAddress(after)];
  const changed = [...kept.keys()].filter(
    (key) => JSON.stringify(old.said.get(key)) !== JSON.stringify(now.said.get(key)),
  );
  return old.name === now.name && changed.length === 1 ? changed[0] : null;
}

/** Write what is chosen now into the address, as a step that Back undoes. */
function save() {
  const hash = written(nowSaid());
  if (hash === saved) return;
  const key = onlyChange(saved, hash);
  const same = key !== null && key === lastKey && kept.get(key).flows;
  putAddress(hash, same);
  lastKey = key;
}

function putAddress(hash, replace) {
  saved = hash;
  try {
    // Without a hash the address is that of the page itself.
    history[replace ? "replaceState" : "pushState"]({ ours: true }, "", hash || location.pathname + location.search);
  } catch {
    // In a frame without an address, or after very many steps: the page works as well without.
  }
}

let waiting = null;

/** Save soon: now, or when what moves has come to its end. */
function remember(after = 0) {
  if (settingOut) return;
  clearTimeout(waiting);
  waiting = setTimeout(save, after);
}

/** Bring the page to what an address says, and where it says nothing, to how it opens. */
async function apply(said) {
  clearTimeout(waiting);
  settingOut = true;
  try {
    for (const [key, { get, set }] of kept) {
      const wanted = said.get(key) ?? [];
      if (JSON.stringify(get()) !== JSON.stringify(wanted)) await set(wanted);
    }
  } finally {
    settingOut = false;
  }
}

const arrivals = []; // what knows places that are no element: name -> whether it went there

/** Bring a place of the page into view, and the keyboard with it. */
function arrive(name) {
  if (name === "" || arrivals.some((go) => go(name))) return;
  const place = byId(name);
  if (place === null) return;
  if (!place.matches("a, button, input, select, [tabindex]")) place.tabIndex = -1;
  place.scrollIntoView({ block: "start" });
  place.focus({ preventScroll: true });
}

/** Follow a link of the page: what it says is changed, all else stays. */
async function follow(hash) {
  const { name, said } = readAddress(hash);
  await apply(new Map([...nowSaid(), ...said]));
  anchor = name;
  save();
  arrive(name);
}

async function startAddress() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    follow(link.hash);
  });
  for (const kind of ["change", "click"]) addEventListener(kind, () => remember());
  addEventListener("input", () => remember(FLOW));
  addEventListener("popstate", async ({ state }) => {
    const { name, said } = readAddress(location.hash);
    anchor = name;
    await apply(said);
    saved = location.hash;
    lastKey = null;
    // Going back, the browser knows where the reader was; an address that was typed names a place.
    if (state === null) arrive(name);
  });
  const { name, said } = readAddress(location.hash);
  anchor = name;
  await apply(said);
  putAddress(written(nowSaid()), true);
  arrive(name);
}
