// What is asked of the gate curves: classes, blocks, order, band.

const asked = {
  chosen: [], // { row, style }: a class keeps its colour while others come and go
  order: "index",
  channels: "some",
  all: true,
  band: false,
  view: null, // shares of the horizontal axis, and the vertical range, that all panels show
  fitted: false, // whether the vertical axis is as long as the curves
  channel: { block: null, position: 0 },
};

function addClass(row) {
  const taken = new Set(asked.chosen.map((c) => c.style));
  let style = 0;
  while (taken.has(style)) style++;
  asked.chosen.push({ row, style });
}

function styleOf({ style }) {
  return PAGE.styles[style % PAGE.styles.length];
}

/** Return a line as the background of its swatch: classes beyond the colours differ in their dashes. */
function stroke({ colour, dash }) {
  if (dash.length === 0) return colour;
  let at = 0;
  const stops = dash.map((length, i) => {
    const from = at;
    at += length;
    return `${i % 2 ? "transparent" : colour} ${from}px ${at}px`;
  });
  return `repeating-linear-gradient(90deg, ${stops.join(", ")})`;
}

// --- choosing ---------------------------------------------------------------------------------

const MOST_CHOICES = 100;

function showChips() {
  const chips = asked.chosen.map((chosen) => {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.className = "chip";
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = stroke(styleOf(chosen));
    const name = document.createElement("bdi");
    name.textContent = GATES.classes[chosen.row];
    chip.append(swatch, name, " ×");
    chip.setAttribute("aria-label", `Remove ${GATES.classes[chosen.row]}`);
    chip.addEventListener("click", () => dropClass(chosen.row));
    return chip;
  });
  byId("chips").replaceChildren(...chips);
}

function showChoices() {
  const wanted = byId("class-search").value.trim().toLocaleLowerCase();
  const found = [];
  GATES.classes.forEach((name, row) => {
    const known = `${name} ${GATES.synonyms[row]}`.toLocaleLowerCase();
    if (wanted === "" || known.includes(wanted)) found.push(row);
  });
  const chosen = new Set(asked.chosen.map((c) => c.row));
  const choices = found.slice(0, MOST_CHOICES).map((row) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = chosen.has(row);
    box.dataset.row = row;
    const name = document.createElement("bdi");
    name.textContent = GATES.classes[row];
    label.append(box, " ", name);
    return label;
  });
  byId("class-choices").replaceChildren(...choices);
  const more = found.length > MOST_CHOICES ? `; the first ${MOST_CHOICES} are listed` : "";
  byId("class-count").textContent = found.length
    ? `${found.length.toLocaleString("en")} of ${GATES.classes.length.toLocaleString("en")} classes${more}`
    : nothing("class", byId("class-search").value, GATES.classes.length);
}

async function toggleClass(row) {
  const at = asked.chosen.findIndex((c) => c.row === row);
  if (at < 0) addClass(row);
  else asked.chosen.splice(at, 1);
  showChips();
  const box = document.querySelector(`#class-choices [data-row="${row}"]`);
  if (box !== null) box.checked = at < 0;
  await redrawClasses();
  say(`${asked.chosen.length} classes drawn`);
}

const redrawClasses = () => Promise.all([redrawPanels(), renew(["channel"])]);

/** Drop a class at its chip; the keyboard goes on to the next one. */
async function dropClass(row) {
  const at = asked.chosen.findIndex((c) => c.row === row);
  const dropped = toggleClass(row);
  (byId("chips").children[Math.min(at, asked.chosen.length - 1)] ?? byId("class-search")).focus();
  await dropped;
}

const blockBoxes = () => all("[data-block]");
const shownBlocks = () => blockBoxes().filter(({ checked }) => checked).map(({ dataset }) => dataset.block);

function showBlocks() {
  for (const box of blockBoxes()) {
    panelOf(box.dataset.block).hidden = !box.checked;
  }
  if (asked.fitted) fitPanels();
}

/** Choose the blocks of which something holds. */
function chooseBlocks(which) {
  for (const box of blockBoxes()) box.checked = which(box);
  showBlocks();
}

/** Go to the panel of a block, as a click on the network map does; it is shown if it was not. */
function showNamedBlock(place) {
  const name = place.match(/^block-(.+)$/)?.[1];
  const box = name && document.querySelector(`[data-block="${CSS.escape(name)}"]`);
  if (!box) return false;
  box.checked = true;
  showBlocks();
  remember();
  const panel = panelOf(name);
  panel.scrollIntoView({ block: "center" });
  panel.focus({ preventScroll: true });
  return true;
}

/** List the blocks whose names hold what is looked for. */
function findBlocks({ target }) {
  const wanted = target.value.trim().toLocaleLowerCase();
  let found = 0;
  for (const box of blockBoxes()) {
    const hit = box.dataset.block.toLocaleLowerCase().includes(wanted);
    box.closest("label").hidden = !hit;
    found += hit;
  }
  byId("block-count").textContent = found ? "" : nothing("block", target.value, GATES.blocks.length);
}

async function saveCurves() {
  const read = await Promise.all(shownBlocks().map(block));
  const every = GATES.classes.includes("all") ? "all classes" : "all";
  function* rows() {
    yield ["block", "class", "channel", "mean", "std"];
    for (const own of read) {
      for (const { row } of asked.chosen) {
        const { channels, mean, std } = own.curve(row);
        for (const [i, channel] of channels.entries()) {
          yield [own.name, GATES.classes[row], channel, fixed(mean[i], 6), fixed(std[i], 6)];
        }
      }
      const { channels, mean, std } = own.allCurve();
      for (const channel of channels) {
        yield [own.name, every, channel, fixed(mean[channel], 6), fixed(std[channel], 6)];
      }
    }
  }
  await saveCsv("gates", rows());
}

/** Keep classes, their colours and blocks in the address. */
function keepGates() {
  const usual = (list, first) => list.length === first.length && list.every((one, i) => one === first[i]);
  const rows = () => asked.chosen.map(({ row }) => row);
  keep("class", {
    get: () => {
      if (usual(rows(), GATES.chosen)) return [];
      return asked.chosen.length ? rows().map((row) => GATES.classes[row]) : [""];
    },
    set: (names) => {
      const found = names.length ? [] : GATES.chosen;
      for (const name of new Set(names)) {
        const row = GATES.classes.indexOf(name);
        if (row >= 0) found.push(row);
      }
      const known = found.length > 0 || names.includes("") ? found : GATES.chosen;
      asked.chosen = [];
      known.forEach(addClass);
      showChips();
      showChoices();
      redrawClasses();
    },
  });
  // The first class has the first colour, unless others came and went before it.
  keep("colour", {
    get: () => {
      const styles = asked.chosen.map(({ style }) => style);
      return styles.every((style, i) => style === i) ? [] : styles.map(String);
    },
    set: (texts) => {
      const styles = texts.map(Number);
      const good = styles.every((style) => Number.isInteger(style) && style >= 0 && style < 1e4);
      if (!good || styles.length !== asked.chosen.length || new Set(styles).size !== styles.length) return;
      asked.chosen.forEach((chosen, i) => (chosen.style = styles[i]));
      showChips();
      redrawClasses();
    },
  });
  const opened = shownBlocks();
  keep("block", {
    get: () => {
      const now = shownBlocks();
      if (usual(now, opened)) return [];
      if (now.length === 0) return [""];
      return now.length === blockBoxes().length ? ["all"] : now;
    },
    set: (names) => {
      const known = new Set(GATES.blocks.map(({ name }) => name));
      const wanted = names.includes("all") ? [...known] : names.filter((name) => known.has(name));
      const chosen = new Set(wanted.length || names.includes("") ? wanted : opened);
      chooseBlocks(({ dataset }) => chosen.has(dataset.block));
    },
  });
  for (const [key, id] of Object.entries({ order: "order", channels: "channels", mean: "show-all", band: "show-band", axis: "vertical" })) {
    keepControl(key, byId(id));
  }
  keepControl("find-class", byId("class-search"), { flows: true });
  keep("view", { get: saidView, set: moveToView, flows: true });
}

function startGates() {
  GATES.chosen.forEach(addClass);
  showChips();
  showChoices();
  byId("class-search").addEventListener("input", showChoices);
  byId("class-choices").addEventListener("change", ({ target }) =>
    toggleClass(Number(target.dataset.row)),
  );
  for (const box of blockBoxes()) box.addEventListener("change", showBlocks);
  for (const button of all("[data-blocks]")) {
    button.addEventListener("click", () =>
      chooseBlocks(({ dataset }) => button.dataset.blocks === "all" || dataset.paper === "1"),
    );
  }
  byId("block-search")?.addEventListener("input", findBlocks);
  const redraw = (name, key, value) =>
    byId(name).addEventListener("change", ({ target }) => {
      asked[key] = value(target);
      redrawPanels();
    });
  redraw("order", "order", (select) => select.value);
  redraw("channels", "channels", (select) => select.value);
  redraw("show-all", "all", (box) => box.checked);
  redraw("show-band", "band", (box) => box.checked);
  byId("vertical").addEventListener("change", ({ target }) => {
    asked.fitted = target.value === "fitted";
    fitPanels();
  });
  byId("gates-csv").addEventListener("click", saveCurves);
  arrivals.push(showNamedBlock);
  keepGates();
  zooms.set("gates", zoomPanels);
  for (const { name } of GATES.blocks) {
    fillers.set(`gates-${name}`, (figure) => fillPanel(name, figure));
  }
}
