// Maps of one block: its classes by channels, and how far its classes are apart.

let heat = null;
let alike = null;

const mapped = () => block(document.querySelector(".map-block").value);

async function heatValues() {
  const own = await mapped();
  const places = own.places(asked.order);
  const columns = ranked(own.embedded.length, (i) => -places[own.embedded[i]]);
  const more = byId("heat-kind").value === "more";
  const count = GATES.classes.length;
  const values = new Float32Array(count * columns.length);
  let far = 0;
  columns.forEach((position, column) => {
    const centre = more ? own.allMean(own.embedded[position]) : 0;
    for (let row = 0; row < count; row++) {
      const value = own.mean(row, position) - centre;
      values[row * columns.length + column] = value;
      far = Math.max(far, Math.abs(value));
    }
  });
  return { own, columns, more, values, far: far || 1 };
}

async function fillHeat(figure) {
  heat ??= new Matrix(figure, "heat");
  const { own, columns, more, values, far } = await heatValues();
  const channels = columns.map((position) => own.embedded[position]);
  heat.show({
    values,
    rows: GATES.short,
    columns: channels.map(String),
    colours: more ? "diverging" : "sequential",
    low: more ? -far : own.low,
    high: more ? far : own.high,
    unit: more ? "less “all”" : "gate",
    describe: (row, column) => {
      const mean = own.mean(row, columns[column]);
      return {
        row: GATES.short[row],
        column: String(channels[column]),
        value: fixed(mean),
        more: fixed(mean - own.allMean(channels[column])),
      };
    },
  });
}

/** Return the root mean square difference of the mean gates of any two classes. */
function distances(own) {
  const count = GATES.classes.length;
  const width = own.embedded.length;
  const means = new Float32Array(count * width);
  for (let row = 0; row < count; row++) {
    for (let i = 0; i < width; i++) means[row * width + i] = own.mean(row, i);
  }
  const values = new Float32Array(count * count);
  for (let a = 0; a < count; a++) {
    for (let b = a + 1; b < count; b++) {
      let sum = 0;
      for (let i = 0; i < width; i++) {
        const apart = means[a * width + i] - means[b * width + i];
        sum += apart * apart;
      }
      values[a * count + b] = values[b * count + a] = Math.sqrt(sum / width);
    }
  }
  return values;
}

let apart = null; // the distances in view

async function fillAlike(figure) {
  alike ??= new Matrix(figure, "alike");
  const own = await mapped();
  const count = GATES.classes.length;
  const values = distances(own);
  apart = { name: own.name, values };
  const pairs = [];
  let high = 0;
  for (let a = 0; a < count; a++) {
    for (let b = a + 1; b < count; b++) {
      const far = values[a * count + b];
      high = Math.max(high, far);
      if (pairs.length < 3 || far < pairs.at(-1).far) {
        pairs.push({ a, b, far });
        pairs.sort((p, q) => p.far - q.far);
        pairs.length = Math.min(pairs.length, 3);
      }
    }
  }
  alike.show({
    values,
    rows: GATES.short,
    columns: GATES.short,
    low: 0,
    high: high || 1,
    unit: "distance",
    describe: (row, column) => ({
      row: GATES.short[row],
      column: GATES.short[column],
      value: fixed(values[row * count + column]),
    }),
  });
  const listed = pairs.map(
    ({ a, b, far }) => `${GATES.short[a]} and ${GATES.short[b]} (${fixed(far, 3)})`,
  );
  byId("alike-text").textContent = listed.length ? `Most alike in ${own.name}: ${listed.join(", ")}.` : "";
}

async function fillMaps() {
  if (drawn.has("heat")) await fillHeat(await drawn.get("heat"));
  if (drawn.has("alike")) await fillAlike(await drawn.get("alike"));
}

async function saveHeat() {
  const { own, columns } = await heatValues();
  const channels = columns.map((position) => own.embedded[position]);
  const rows = GATES.classes.map((name, row) => [
    name,
    ...columns.map((position) => fixed(own.mean(row, position), 6)),
  ]);
  saveCsv(`${own.name}_classes_by_channels`, [["class", ...channels], ...rows]);
}

function saveAlike() {
  if (apart === null) return;
  const count = GATES.classes.length;
  const rows = GATES.classes.map((name, row) => [
    name,
    ...Array.from({ length: count }, (_, b) => fixed(apart.values[row * count + b], 6)),
  ]);
  saveCsv(`${apart.name}_distances`, [["class", ...GATES.classes], ...rows]);
}

function startMaps() {
  fillers.set("heat", fillHeat);
  fillers.set("alike", fillAlike);
  const choices = all(".map-block");
  const choose = (name) => choices.forEach((select) => (select.value = name));
  choose(GATES.blocks.at(-1).name);
  for (const select of choices) {
    select.addEventListener("change", () => {
      choose(select.value);
      return fillMaps();
    });
  }
  for (const id of ["heat-kind", "order"]) {
    byId(id).addEventListener("change", async () => {
      if (drawn.has("heat")) await fillHeat(await drawn.get("heat"));
    });
  }
  byId("heat-csv").addEventListener("click", saveHeat);
  byId("alike-csv").addEventListener("click", saveAlike);
}
