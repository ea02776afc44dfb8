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
  await Promise.all([redrawPanels(), renew(["channel"])]);
  say(`${asked.chosen.length} classes drawn`);
}

function showBlocks() {
  for (const box of all("[data-block]")) {
    panelOf(box.dataset.block).hidden = !box.checked;
  }
  if (asked.fitted) fitPanels();
}

/** Show the block that the address names, as a click on the network map does. */
function showNamedBlock() {
  const name = decodeURIComponent(location.hash).match(/^#block-(.+)$/)?.[1];
  const box = name && document.querySelector(`[data-block="${CSS.escape(name)}"]`);
  if (!box) return;
  box.checked = true;
  showBlocks();
  const panel = panelOf(name);
  panel.scrollIntoView({ block: "center" });
  panel.focus({ preventScroll: true });
}

async function saveCurves() {
  const shown = all("[data-block]").filter(({ checked }) => checked);
  const read = await Promise.all(shown.map(({ dataset }) => block(dataset.block)));
  function* rows() {
    yield ["block", "class", "channel", "mean", "std"];
    for (const own of read) {
      for (const { row } of asked.chosen) {
        const { channels, mean, std } = own.curve(row);
        for (const [i, channel] of channels.entries()) {
          yield [own.name, GATES.classes[row], channel, fixed(mean[i], 6), fixed(std[i], 6)];
        }
      }
    }
  }
  await saveCsv("gates", rows());
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
  addEventListener("hashchange", showNamedBlock);
  for (const link of all('.network a')) {
    // The address stays the same at a second click, and the reader wants to go there again.
    link.addEventListener("click", () => requestAnimationFrame(showNamedBlock));
  }
  zooms.set("gates", zoomPanels);
  for (const { name } of GATES.blocks) {
    fillers.set(`gates-${name}`, (figure) => fillPanel(name, figure));
  }
}
