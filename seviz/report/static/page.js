// Start: charts are drawn when they come near the view, the contents follow it.

function watchCharts() {
  const near = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        draw(target.dataset.chart);
      }
    },
    { rootMargin: "300px" },
  );
  for (const chart of all(".chart")) near.observe(chart);
}

function watchSections() {
  const links = new Map(all(".contents a").map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(target.id).setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-20% 0px -70% 0px" },
  );
  for (const id of links.keys()) seen.observe(byId(id));
}

async function repaint() {
  for (const promise of drawn.values()) paint(await promise);
  if (GATES !== undefined) {
    await fillPanels();
    if (drawn.has("channel")) await fillChannel(await drawn.get("channel"));
    await fillMaps();
  }
  if (CONFUSION !== undefined && drawn.has("confusion")) {
    await fillConfusion(await drawn.get("confusion"));
  }
}

Bokeh.logger.set_level("warn");
if (GATES !== undefined) {
  startGates();
  startChannel();
  startMaps();
}
if (CONFUSION !== undefined) startConfusion();
startTables();
for (const button of all("[data-zoom]")) {
  button.addEventListener("click", () => zooms.get(button.dataset.zoom)?.(Number(button.dataset.by)));
}
dark.addEventListener("change", repaint);
watchCharts();
watchSections();
// The first chart is ready before the reader is there.
const first = document.querySelector(".panel:not([hidden]) .chart") ?? document.querySelector(".chart");
if (first !== null) draw(first.dataset.chart);
