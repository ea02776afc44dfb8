// Tables: sort by a column, find a row, save as a file.

function sortTable(button) {
  const heading = button.closest("th");
  const body = button.closest("table").tBodies[0];
  const column = Number(button.dataset.column);
  const now = heading.getAttribute("aria-sort");
  const numeric = !heading.classList.contains("name");
  // Numbers from the largest on, names from A on; a second time the other way round.
  const rising = now === "none" ? !numeric : now === "descending";
  const keyed = [...body.rows].map((row, i) => {
    const cell = row.cells[column];
    const value = numeric ? Number.parseFloat(cell.dataset.sort) : cell.textContent;
    return { row, value, i };
  });
  const compare = numeric
    ? (a, b) => a - b
    : new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare;
  const missing = ({ value }) => numeric && Number.isNaN(value);
  keyed.sort((a, b) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b) || a.i - b.i;
    return (rising ? 1 : -1) * compare(a.value, b.value) || a.i - b.i;
  });
  const most = Number(button.closest("table").dataset.shown ?? Infinity);
  keyed.forEach(({ row }, i) => row.classList.toggle("beyond", i >= most));
  body.append(...keyed.map(({ row }) => row));
  for (const other of all("th[aria-sort]", button.closest("tr"))) {
    other.setAttribute("aria-sort", "none");
  }
  heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
  say(`Sorted by ${button.textContent}, ${rising ? "ascending" : "descending"}`);
}

const nameOfTable = (part) => part.closest(".table").id.replace(/^table-/, "");

/** Keep by what tables are sorted, and what is looked for in them. */
function keepTables() {
  const whole = new Map(all(".table table").map((table) => [nameOfTable(table), [...table.tBodies[0].rows]]));
  keep("sort", {
    get: () =>
      all('th[aria-sort]:not([aria-sort="none"])').map((heading) => {
        const { column } = heading.querySelector(".sort").dataset;
        return `${nameOfTable(heading)}:${column}:${heading.getAttribute("aria-sort")}`;
      }),
    set: (wanted) => {
      for (const heading of all('th[aria-sort]:not([aria-sort="none"])')) {
        heading.setAttribute("aria-sort", "none");
        const body = heading.closest("table").tBodies[0];
        body.append(...whole.get(nameOfTable(heading)));
      }
      // Once for each table, however often a link says it.
      for (const [name, [column, way]] of new Map(wanted.map((text) => text.split(":")).map(([name, ...how]) => [name, how]))) {
        const button = byId(`table-${name}`)?.querySelector(`.sort[data-column="${CSS.escape(column ?? "")}"]`);
        if (!button || !["ascending", "descending"].includes(way)) continue;
        sortTable(button);
        if (button.closest("th").getAttribute("aria-sort") !== way) sortTable(button);
      }
    },
  });
  for (const field of all("[data-filter]")) {
    keepControl(`find-${field.dataset.filter}`, field, { flows: true });
  }
}

function filterTable(field) {
  const wanted = field.value.trim().toLocaleLowerCase();
  const body = byId(`table-${field.dataset.filter}`).querySelector("tbody");
  let found = 0;
  for (const row of body.rows) {
    const hit = [...row.cells].some((cell) => cell.textContent.toLocaleLowerCase().includes(wanted));
    row.hidden = !hit;
    found += hit;
  }
  const told = byId(`none-${field.dataset.filter}`);
  told.hidden = found > 0;
  told.textContent = found > 0 ? "" : nothing("row", field.value, body.rows.length);
  if (found > 0) say(`${found} rows`);
}

/** Save a table as seviz writes it: all of its rows, each number and each end of an interval in its own cell. */
async function saveTable(name) {
  download(`${name}.csv`, [await inflate(`csv-${name}`).text()]);
  say(`Saved ${name}.csv`);
}

/** Say where a table goes on to the side, and let the keyboard into what scrolls, and only there. */
function watchWidths() {
  const measure = (area) => {
    const wide = area.scrollWidth > area.clientWidth + 1;
    area.tabIndex = wide || area.scrollHeight > area.clientHeight + 1 ? 0 : -1;
    const hint = area.parentElement.querySelector(".hint");
    if (hint !== null) hint.hidden = !wide;
  };
  const watch = new ResizeObserver((entries) => {
    for (const area of new Set(entries.map(({ target }) => target.closest(".scroll")))) measure(area);
  });
  for (const area of all(".scroll")) {
    watch.observe(area);
    if (area.firstElementChild !== null) watch.observe(area.firstElementChild);
  }
}

function startTables() {
  for (const button of all(".sort")) button.addEventListener("click", () => sortTable(button));
  for (const field of all("[data-filter]")) field.addEventListener("input", () => filterTable(field));
  keepTables();
  watchWidths();
  for (const button of all("[data-csv]")) {
    button.addEventListener("click", () => saveTable(button.dataset.csv));
  }
}
