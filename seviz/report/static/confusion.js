// The confusion matrix: counts or shares, in three orders, with a search for a class or a cell.

const CONFUSION = PAGE.confusion;
let confusion = null;
let counted = null; // promise of the counts

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

/** Return classes in the order shown: their rows, and the columns, of which some may be of no row. */
function confusionOrder() {
  const rows = CONFUSION.orders[byId("confusion-order").value];
  const rest = CONFUSION.columns.map((_, i) => i).slice(rows.length);
  return { rows, columns: [...rows, ...rest] };
}

async function fillConfusion(figure) {
  confusion ??= new Matrix(figure, "confusion");
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
}

/** Find the class or the cell that the two fields name, and tell of it. */
async function findConfusion() {
  const place = (names, id) => names.indexOf(byId(id).value.trim());
  const { rows, columns } = confusionOrder();
  const row = place(CONFUSION.rows, "confusion-row");
  const column = place(CONFUSION.columns, "confusion-column");
  const told = byId("confusion-text");
  const figure = await draw("confusion");
  confusion.find(rows.indexOf(row), columns.indexOf(column));
  if (row < 0 && column < 0) {
    told.textContent = "";
    return;
  }
  const { values, rows: support, columns: predicted, width } = await counts();
  if (row >= 0 && column >= 0) {
    const n = values[row * width + column];
    told.textContent =
      `${CONFUSION.rows[row]} taken for ${CONFUSION.columns[column]}: ${n} of ${support[row]} ` +
      `images, ${percent(n / support[row])}.`;
  } else if (row >= 0) {
    const others = ranked(width, (c) => (c === row ? -1 : values[row * width + c]));
    const listed = others
      .slice(0, 5)
      .filter((c) => c !== row && values[row * width + c] > 0)
      .map((c) => `${CONFUSION.columns[c]} (${values[row * width + c]})`);
    const right = values[row * width + row];
    told.textContent =
      `${CONFUSION.rows[row]}: ${right} of ${support[row]} images right, ` +
      `${percent(right / support[row])}. Taken for ${listed.join(", ") || "no other class"}.`;
  } else {
    told.textContent = `${predicted[column]} images are taken for ${CONFUSION.columns[column]}.`;
  }
  say(told.textContent);
  return figure;
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

function startConfusion() {
  fillers.set("confusion", fillConfusion);
  // In a large matrix most cells hold an image or two.
  byId("confusion-log").checked = CONFUSION.rows.length > 100;
  byId("confusion").addEventListener("focusin", offerNames, { once: true });
  for (const id of ["confusion-by", "confusion-order", "confusion-log"]) {
    byId(id).addEventListener("change", () => renew(["confusion"]));
  }
  for (const id of ["confusion-row", "confusion-column"]) {
    byId(id).addEventListener("change", findConfusion);
  }
  byId("confusion-csv").addEventListener("click", saveConfusion);
}
