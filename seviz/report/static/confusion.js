// The confusion matrix: counts or shares, in three orders, with a search that leaves what was found.

const CONFUSION = PAGE.confusion;
let confusion = null;
let counted = null; // promise of the counts
let cells = null; // part to bring into view when the matrix is drawn

function counts() {
  counted ??= unpack("confusion", CONFUSION.bytes).then((values) => {
    const width = CONFUSION.columns.length;
    const rows = new Float64Array(CONFUSION.rows.length);
    const columns = new Float64Array(width);
    values.forEach((n, i) => {
      rows[Math.floor(i / width)] += n;
      columns[i % width] += n;
    });
    return { values, rows, columns, width };
  });
  return counted;
}

const picked = { rows: null, columns: null, row: -1, column: -1 }; // what is shown of all, and marked
const MOST_NEAR = 11; // classes that are shown beside the one that was found

/** Return classes in the order shown: their rows, and the columns, of which some may be of no row. */
function confusionOrder() {
  const rows = CONFUSION.orders[byId("confusion-order").value];
  const rest = CONFUSION.columns.map((_, i) => i).slice(rows.length);
  const only = (list, some) => (some === null ? list : list.filter((i) => some.has(i)));
  return { rows: only(rows, picked.rows), columns: only([...rows, ...rest], picked.columns) };
}

async function fillConfusion(figure) {
  if (confusion === null) {
    confusion = new Matrix(figure, "confusion");
    figure.on_event("tap", ({ x, y }) => {
      const order = confusionOrder();
      showCell(order.rows[Math.floor(y)] ?? -1, order.columns[Math.floor(x)] ?? -1);
    });
  }
  const { values, rows: support, columns: predicted, width } = await counts();
  const { rows, columns } = confusionOrder();
  const by = byId("confusion-by").value;
  const log = byId("confusion-log").checked;
  const shown = new Float32Array(rows.length * columns.length);
  let [low, high] = [Infinity, 0];
  let at = 0;
  for (const row of rows) {
    for (const column of columns) {
      const n = values[row * width + column];
      const whole = by === "none" ? 100 : by === "true" ? support[row] : predicted[column];
      const value = n === 0 ? NaN : (100 * n) / whole;
      shown[at++] = value;
      if (value > high) high = value;
      if (value < low) low = value;
    }
  }
  const unit = { none: "images", true: "% of true", pred: "% of predicted" }[by];
  confusion.show({
    values: shown,
    rows: rows.map((row) => CONFUSION.rows[row]),
    columns: columns.map((column) => CONFUSION.columns[column]),
    log,
    low: log ? Math.min(low, high / 2) : 0,
    high: by === "none" || log ? high || 1 : 100,
    unit,
    text: (value) =>
      by === "none" ? String(value) : value >= 9.95 ? value.toFixed(0) : value.toFixed(1),
    describe: (r, c) => {
      const n = values[rows[r] * width + columns[c]];
      return {
        row: clipped(CONFUSION.rows[rows[r]], 60),
        column: clipped(CONFUSION.columns[columns[c]], 60),
        value: n.toLocaleString("en"),
        more: `${percent(n / support[rows[r]])} of the true class`,
      };
    },
  });
  if (cells !== null) {
    confusion.see(cells);
    cells = null;
  }
  const { row, column } = picked;
  confusion.mark(rows.indexOf(row), columns.indexOf(column));
  if (row >= 0 && column >= 0) confusion.point(rows.indexOf(row), columns.indexOf(column));
}

/** Return the classes that a search means: the one of this name, else all that hold it. */
function meant(names, wanted) {
  const text = wanted.toLocaleLowerCase();
  if (text === "") return [];
  const folded = names.map((name) => name.toLocaleLowerCase());
  const exact = names.indexOf(wanted);
  if (exact >= 0) return [exact];
  const same = folded.flatMap((name, i) => (name === text ? [i] : []));
  return same.length ? same : folded.flatMap((name, i) => (name.includes(text) ? [i] : []));
}

/** Return a class and those that it is confused with most, either way. */
function neighbours({ values, width }, row) {
  const size = CONFUSION.rows.length;
  const both = (i) => (i === row ? -1 : values[row * width + i] + (i < size ? values[i * width + row] : 0));
  const most = Math.min(MOST_NEAR, Math.ceil(width / 2));
  const near = ranked(width, both).slice(0, most).filter((i) => both(i) > 0);
  return [row, ...near];
}

/** Show what the two fields name of the matrix, rows and columns, and tell of it. */
async function findConfusion() {
  const [wantedRow, wantedColumn] = ["confusion-row", "confusion-column"].map((id) => byId(id).value.trim());
  const rows = meant(CONFUSION.rows, wantedRow);
  const columns = meant(CONFUSION.columns, wantedColumn);
  const told = await counts();
  const [row, column] = [rows, columns].map((found) => (found.length === 1 ? found[0] : -1));
  const missing = [
    wantedRow && rows.length === 0 ? nothing("class", wantedRow, CONFUSION.rows.length) : "",
    wantedColumn && columns.length === 0 ? nothing("class", wantedColumn, CONFUSION.columns.length) : "",
  ].filter((text) => text !== "");
  // One class is shown among those that it is confused with; of many, and of nothing, that is what was found.
  const around = (found) => (found.length === 1 ? neighbours(told, found[0]) : found);
  let [down, across] = [around(rows), around(columns)];
  if (rows.length === 1 && columns.length === 1) down = across = [...new Set([...down, ...across])];
  const size = CONFUSION.rows.length;
  const some = (list, otherwise) => (list.length ? new Set(list) : otherwise.length ? new Set(otherwise) : null);
  const found = missing.length === 0;
  Object.assign(picked, {
    rows: found ? some(down.filter((i) => i < size), across.filter((i) => i < size)) : null,
    columns: found ? some(across, down) : null,
    row: found ? row : -1,
    column: found ? column : -1,
  });
  if (picked.rows?.size === 0) picked.rows = null;
  byId("confusion-text").textContent = missing.join(" ") || describeFound(told, rows, columns);
  if (wantedRow || wantedColumn) say(byId("confusion-text").textContent);
  showCell(picked.row, picked.column);
  await renew(["confusion"]);
}

/** Say what the matrix has on what was found. */
function describeFound({ values, rows: support, columns: predicted, width }, rows, columns) {
  const number = (n) => n.toLocaleString("en");
  const [row, column] = [rows[0], columns[0]];
  const shown = picked.rows && picked.columns
    ? ` Shown are ${picked.rows.size} of ${number(CONFUSION.rows.length)} rows and ${picked.columns.size} of ` +
      `${number(CONFUSION.columns.length)} columns; empty the fields to see all.`
    : "";
  if (rows.length === 0 && columns.length === 0) return "";
  if (rows.length > 1 || columns.length > 1) {
    const kinds = [
      rows.length ? `${number(rows.length)} true class${rows.length > 1 ? "es" : ""}` : "",
      columns.length ? `${number(columns.length)} predicted class${columns.length > 1 ? "es" : ""}` : "",
    ];
    return `Found ${kinds.filter((kind) => kind !== "").join(" and ")}.${shown}`;
  }
  if (rows.length && columns.length) {
    const n = values[row * width + column];
    return (
      `${CONFUSION.rows[row]} taken for ${CONFUSION.columns[column]}: ${number(n)} of ${number(support[row])} ` +
      `images, ${percent(n / support[row])}.${shown}`
    );
  }
  if (rows.length === 0) return `${number(predicted[column])} images are taken for ${CONFUSION.columns[column]}.${shown}`;
  const others = ranked(width, (c) => (c === row ? -1 : values[row * width + c]));
  const listed = others
    .slice(0, 5)
    .filter((c) => c !== row && values[row * width + c] > 0)
    .map((c) => `${CONFUSION.columns[c]} (${values[row * width + c]})`);
  const right = values[row * width + row];
  return (
    `${CONFUSION.rows[row]}: ${right} of ${support[row]} images right, ` +
    `${percent(right / support[row])}. Taken for ${listed.join(", ") || "no other class"}.${shown}`
  );
}

async function saveConfusion() {
  const { values, width } = await counts();
  function* rows() {
    yield ["true \\ predicted", ...CONFUSION.columns];
    for (const [row, name] of CONFUSION.rows.entries()) {
      yield [name, ...values.subarray(row * width, (row + 1) * width)];
    }
  }
  await saveCsv("confusion", rows());
}

/** Offer the names of the classes in the search fields. */
function offerNames() {
  const options = CONFUSION.columns.map((name) => {
    const option = document.createElement("option");
    option.value = name;
    return option;
  });
  byId("class-names").append(...options);
}

/** Show the images behind a cell, where the report has them. */
function showCell(row, column) {
  const place = byId("confusion-images");
  if (place === null) return;
  const images = CONFUSION.images[`${row},${column}`] ?? [];
  const told = row >= 0 && column >= 0 && row !== column;
  byId("confusion-cell").textContent = told
    ? `${CONFUSION.rows[row]} taken for ${CONFUSION.columns[column]}: ` +
      (images.length > 1 ? `${images.length} images, the surest first.` : images.length ? "1 image." : "no image is in this file.")
    : "Click a cell beside the diagonal to see the images behind it.";
  place.replaceChildren(...images.map((position) => imageItem(position, THUMBS[position]?.name, "")));
}

function startConfusion() {
  fillers.set("confusion", fillConfusion);
  showCell(-1, -1);
  // In a large matrix most cells hold an image or two.
  byId("confusion-log").checked = CONFUSION.rows.length > 100;
  byId("confusion").addEventListener("focusin", offerNames, { once: true });
  for (const id of ["confusion-by", "confusion-order", "confusion-log"]) {
    byId(id).addEventListener("change", () => renew(["confusion"]));
  }
  for (const id of ["confusion-row", "confusion-column"]) {
    byId(id).addEventListener("change", findConfusion);
  }
  for (const [key, id] of Object.entries({ show: "by", sorted: "order", log: "log", true: "row", predicted: "column" })) {
    keepControl(key, byId(`confusion-${id}`));
  }
  keep("cells", {
    flows: true,
    get: () => cells ?? confusion?.said() ?? [],
    set: ([text = ""]) => {
      cells = /^([\d.]+,){3}[\d.]+$/.test(text) ? [text] : [];
      return renew(["confusion"]);
    },
  });
  byId("confusion-csv").addEventListener("click", saveConfusion);
}
