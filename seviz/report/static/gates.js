// The gate curves: classes, blocks, order, band; the panels move together.

const asked = {
  chosen: [], // { row, style }: a class keeps its colour while others come and go
  order: "index",
  channels: "some",
  all: true,
  band: false,
  view: null, // shares of the horizontal axis, and the vertical range, that all panels show
  fitted: false, // whether the vertical axis is as long as the curves
  extents: new Map(), // name -> smallest and largest value drawn
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

/** Fill one panel with the chosen classes. */
async function fillPanel(name, figure) {
  const own = await block(name);
  const places = own.places(asked.order);
  const lines = { xs: [], ys: [], colour: [], dash: [], width: [] };
  const points = { x: [], y: [], who: [], channel: [], spread: [] };
  const bands = { xs: [], ys: [], colour: [] };
  const only = own.drawnChannels(asked.channels);
  const weight = Math.min(1.6, Math.max(0.8, 14 / Math.sqrt(only?.size ?? own.channels)));

  function add(who, { channels, mean, std }, look, band) {
    const order = ranked(channels.length, (i) => -places[channels[i]]).filter(
      (i) => only === null || only.has(channels[i]),
    );
    const x = order.map((i) => places[channels[i]]);
    const y = order.map((i) => mean[i]);
    lines.xs.push(x);
    lines.ys.push(y);
    lines.colour.push(look.colour);
    lines.dash.push(look.dash);
    lines.width.push(look.width ?? weight);
    for (const i of order) {
      points.x.push(places[channels[i]]);
      points.y.push(mean[i]);
      points.who.push(who);
      points.channel.push(channels[i]);
      points.spread.push(std[i]);
    }
    if (band) {
      const back = [...order].reverse();
      bands.xs.push([...x, ...back.map((i) => places[channels[i]])]);
      bands.ys.push([
        ...order.map((i) => mean[i] + std[i]),
        ...back.map((i) => mean[i] - std[i]),
      ]);
      bands.colour.push(look.colour);
    }
  }

  for (const chosen of asked.chosen) {
    add(GATES.short[chosen.row], own.curve(chosen.row), styleOf(chosen), asked.band);
  }
  if (asked.all) {
    const channels = Array.from({ length: own.channels }, (_, c) => c);
    const mean = channels.map((c) => own.allMean(c));
    const std = channels.map((c) => own.allStd(c));
    add("all", { channels, mean, std }, { colour: colour("ink"), dash: [4, 3], width: 1 }, false);
  }
  source(figure, "bands").data = bands;
  source(figure, "lines").data = lines;
  source(figure, "points").data = points;
  figure.below[0].axis_label =
    asked.order === "index"
      ? "channel"
      : `channels by ${asked.order === "mean" ? "mean gate" : "selectivity"}, highest first`;
  const drawnValues = [...lines.ys, ...bands.ys].flat();
  asked.extents.set(name, [Math.min(...drawnValues), Math.max(...drawnValues)]);
  markChannel(name, figure, own);
}

function markChannel(name, figure, own) {
  const here = asked.channel.block === name;
  const at = here ? own.places(asked.order)[own.embedded[asked.channel.position]] : 0;
  source(figure, "marker").data = here
    ? { x: [at], low: [own.low - 1], high: [own.high + 1] }
    : { x: [], low: [], high: [] };
}

let wanted = 0; // counts what was asked for: a new choice stops the filling for an old one
const stale = new Set(); // hidden panels that show an old choice

/** Fill every panel that is drawn, one after the other; hidden ones when they are shown. */
async function fillPanels() {
  const own = ++wanted;
  for (const { name } of GATES.blocks) {
    if (drawn.has(`gates-${name}`)) stale.add(name);
  }
  for (const name of [...stale]) {
    if (panelOf(name).hidden) continue;
    const figure = await drawn.get(`gates-${name}`);
    if (own !== wanted) return;
    await fillPanel(name, figure);
    stale.delete(name);
    await breath();
  }
  if (asked.fitted) fitPanels();
}

/** Make the vertical axis as long as the curves of all panels in view, or whole again. */
function fitPanels() {
  const [whole] = wholes.values();
  if (whole === undefined) return;
  let [bottom, top] = whole.y;
  if (asked.fitted) {
    const inView = [...asked.extents].filter(([name]) => !panelOf(name).hidden);
    bottom = Math.min(...inView.map(([, [low]]) => low));
    top = Math.max(...inView.map(([, [, high]]) => high));
    const room = 0.05 * (top - bottom) || 0.01;
    [bottom, top] = [bottom - room, top + room];
  }
  asked.view = { ...asked.view, bottom, top };
  movePanels(null);
}

const panelOf = (name) => document.querySelector(`[data-panel="${CSS.escape(name)}"]`);

// --- panels move together ---------------------------------------------------------------------

const wholes = new Map(); // name -> a drawn panel and its whole ranges
let moving = false;

function moveTo(figure, { left, right, bottom, top }) {
  const { x } = wholes.get(figure.name);
  const size = x[1] - x[0];
  figure.x_range.setv({ start: x[0] + left * size, end: x[0] + right * size });
  figure.y_range.setv({ start: bottom, end: top });
}

function movePanels(except) {
  moving = true;
  for (const { figure } of wholes.values()) {
    if (figure !== except) moveTo(figure, asked.view);
  }
  requestAnimationFrame(() => (moving = false));
}

function linkPanel(figure) {
  const { x_range: across, y_range: up } = figure;
  wholes.set(figure.name, {
    figure,
    x: [across.start, across.end],
    y: [up.start, up.end],
  });
  asked.view ??= { left: 0, right: 1, bottom: up.start, top: up.end };
  moveTo(figure, asked.view);
  const moved = () => {
    if (moving) return;
    const { x } = wholes.get(figure.name);
    const size = x[1] - x[0];
    asked.view = {
      left: (across.start - x[0]) / size,
      right: (across.end - x[0]) / size,
      bottom: up.start,
      top: up.end,
    };
    movePanels(figure);
  };
  onMove(across, moved);
  onMove(up, moved);
}

function zoomPanels(by) {
  const [first] = wholes.values();
  if (first === undefined) return;
  const [left, right] = zoomed({ start: asked.view.left, end: asked.view.right }, [0, 1], by);
  const [bottom, top] =
    by === 0 && !asked.fitted ? first.y : [asked.view.bottom, asked.view.top];
  asked.view = { left, right, bottom, top };
  movePanels(null);
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
    swatch.style.background = styleOf(chosen).colour;
    const name = document.createElement("bdi");
    name.textContent = GATES.classes[chosen.row];
    chip.append(swatch, name, " ×");
    chip.setAttribute("aria-label", `Remove ${GATES.classes[chosen.row]}`);
    chip.addEventListener("click", () => toggleClass(chosen.row));
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
  byId("class-count").textContent =
    `${found.length.toLocaleString("en")} of ${GATES.classes.length.toLocaleString("en")} classes${more}`;
}

async function toggleClass(row) {
  const at = asked.chosen.findIndex((c) => c.row === row);
  if (at < 0) addClass(row);
  else asked.chosen.splice(at, 1);
  showChips();
  const box = document.querySelector(`#class-choices [data-row="${row}"]`);
  if (box !== null) box.checked = at < 0;
  await fillPanels();
  if (drawn.has("channel")) await fillChannel(await drawn.get("channel"));
  say(`${asked.chosen.length} classes drawn`);
}

function showBlocks() {
  for (const box of all("[data-block]")) {
    panelOf(box.dataset.block).hidden = !box.checked;
  }
  return fillPanels();
}

async function saveCurves() {
  const rows = [["block", "class", "channel", "mean", "std"]];
  for (const { checked, dataset } of all("[data-block]")) {
    if (!checked) continue;
    const own = await block(dataset.block);
    for (const { row } of asked.chosen) {
      const { channels, mean, std } = own.curve(row);
      channels.forEach((channel, i) =>
        rows.push([own.name, GATES.classes[row], channel, fixed(mean[i], 6), fixed(std[i], 6)]),
      );
    }
  }
  saveCsv("gates", rows);
}

function startGates() {
  GATES.chosen.forEach(addClass);
  showChips();
  showChoices();
  byId("class-search").addEventListener("input", showChoices);
  byId("class-choices").addEventListener("change", ({ target }) =>
    toggleClass(Number(target.dataset.row)),
  );
  for (const box of all("[data-block]")) box.addEventListener("change", showBlocks);
  for (const button of all("[data-blocks]")) {
    button.addEventListener("click", () => {
      for (const box of all("[data-block]")) {
        box.checked = button.dataset.blocks === "all" || box.dataset.paper === "1";
      }
      showBlocks();
    });
  }
  const redraw = (name, key, value) =>
    byId(name).addEventListener("change", async ({ target }) => {
      asked[key] = value(target);
      await fillPanels();
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
  zooms.set("gates", zoomPanels);
  for (const { name } of GATES.blocks) {
    fillers.set(`gates-${name}`, async (figure) => {
      await fillPanel(name, figure);
      linkPanel(figure);
      if (asked.fitted) fitPanels();
      figure.on_event("tap", async ({ x }) => {
        const own = await block(name);
        await askChannel(name, own.nearest(x, asked.order));
      });
    });
  }
}
