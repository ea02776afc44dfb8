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

function filterTable(field) {
  const wanted = field.value.trim().toLocaleLowerCase();
  const body = byId(`table-${field.dataset.filter}`).querySelector("tbody");
  let found = 0;
  for (const row of body.rows) {
    const hit = [...row.cells].some((cell) => cell.textContent.toLocaleLowerCase().includes(wanted));
    row.hidden = !hit;
    found += hit;
  }
  say(`${found} rows`);
}

function saveTable(name) {
  const table = byId(`table-${name}`).querySelector("table");
  const rows = [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
  saveCsv(name, rows);
}

function startTables() {
  for (const button of all(".sort")) button.addEventListener("click", () => sortTable(button));
  for (const field of all("[data-filter]")) field.addEventListener("input", () => filterTable(field));
  for (const button of all("[data-csv]")) {
    button.addEventListener("click", () => saveTable(button.dataset.csv));
  }
}
