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

const apart = new Map(); // name of a block -> promise of the distances between its classes

function distances(own) {
  if (!apart.has(own.name)) apart.set(own.name, measured(own));
  return apart.get(own.name);
}

/** Return the root mean square difference of the mean gates of any two classes. */
async function measured(own) {
  const count = GATES.classes.length;
  const width = own.embedded.length;
  const means = new Float32Array(count * width);
  for (let row = 0; row < count; row++) {
    for (let i = 0; i < width; i++) means[row * width + i] = own.mean(row, i);
  }
  const values = new Float32Array(count * count);
  const pause = pauses();
  for (let a = 0; a < count; a++) {
    for (let b = a + 1; b < count; b++) {
      let sum = 0;
      for (let i = 0; i < width; i++) {
        const far = means[a * width + i] - means[b * width + i];
        sum += far * far;
      }
      values[a * count + b] = values[b * count + a] = Math.sqrt(sum / width);
    }
    await pause();
  }
  return values;
}

async function fillAlike(figure) {
  alike ??= new Matrix(figure, "alike");
  const own = await mapped();
  const count = GATES.classes.length;
  const values = await distances(own);
  const pairs = []; // the nearest three
  let [high, least] = [0, Infinity];
  for (let a = 0; a < count; a++) {
    for (let b = a + 1; b < count; b++) {
      const far = values[a * count + b];
      if (far > high) high = far;
      if (far < least) {
        pairs.push({ a, b, far });
        pairs.sort((p, q) => p.far - q.far);
        pairs.length = Math.min(pairs.length, 3);
        if (pairs.length === 3) least = pairs[2].far;
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

async function saveHeat() {
  const { own, columns } = await heatValues();
  function* rows() {
    yield ["class", ...columns.map((position) => own.embedded[position])];
    for (const [row, name] of GATES.classes.entries()) {
      yield [name, ...columns.map((position) => fixed(own.mean(row, position), 6))];
    }
  }
  await saveCsv(`${own.name}_classes_by_channels`, rows());
}

async function saveAlike() {
  const own = await mapped();
  const values = await distances(own);
  const count = GATES.classes.length;
  function* rows() {
    yield ["class", ...GATES.classes];
    for (const [a, name] of GATES.classes.entries()) {
      yield [name, ...Array.from({ length: count }, (_, b) => fixed(values[a * count + b], 6))];
    }
  }
  await saveCsv(`${own.name}_distances`, rows());
}

function startMaps() {
  fillers.set("heat", fillHeat);
  fillers.set("alike", fillAlike);
  const choices = all(".map-block");
  const choose = (name) => choices.forEach((select) => (select.value = name));
  choose(GATES.first);
  for (const select of choices) {
    select.addEventListener("change", () => {
      choose(select.value);
      renew(["heat", "alike"]);
    });
  }
  for (const id of ["heat-kind", "order"]) {
    byId(id).addEventListener("change", () => renew(["heat"]));
  }
  keepControl("map", choices[0]);
  keepControl("heat", byId("heat-kind"));
  byId("heat-csv").addEventListener("click", saveHeat);
  byId("alike-csv").addEventListener("click", saveAlike);
}
