// Start: charts are drawn when they come near the view, the contents follow it.

/** Keep which charts are within a margin around the view, in pixels, and do something with new ones. */
function watchCharts(within, margin, arrived = () => {}) {
  const watch = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        const name = target.dataset.chart;
        if (isIntersecting) within.add(name);
        else within.delete(name);
        if (isIntersecting) arrived(name);
      }
    },
    { rootMargin: `${margin}px` },
  );
  for (const chart of all(".chart")) watch.observe(chart);
}

const wanted = new Set(); // charts that have come near, and are not drawn yet
let drawing = false;

/** Draw what is near, what is seen first: who passes many charts quickly does not wait for all of them. */
async function drawNear() {
  if (drawing) return;
  drawing = true;
  try {
    for (;;) {
      const waiting = [...wanted];
      const name =
        waiting.find((one) => inView.has(one)) ?? waiting.find((one) => near.has(one));
      if (name === undefined) return; // what is far again waits until it comes near
      wanted.delete(name);
      await draw(name).catch((error) => console.error(error)); // of one chart, not of those after it
      await breath();
    }
  } finally {
    drawing = false;
  }
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

Bokeh.logger.set_level("warn");
if (GATES !== undefined) {
  startGates();
  startChannel();
  startMaps();
}
if (CONFUSION !== undefined) startConfusion();
startTables();
startRoving();
for (const button of all("[data-zoom]")) {
  button.addEventListener("click", () => zooms.get(button.dataset.zoom)?.(Number(button.dataset.by)));
}
dark.addEventListener("change", () => {
  for (const panel of panels.values()) panel.curves = null; // "all" is in the colour of the text
  renew(drawn.keys());
});
startAddress();
watchCharts(inView, 0);
watchCharts(near, 300, (name) => {
  wanted.add(name);
  drawNear();
  if (stale.has(name)) renew([name]);
});
watchSections();
// The first chart is ready before the reader is there.
const first = document.querySelector(".panel:not([hidden]) .chart") ?? document.querySelector(".chart");
if (first !== null) draw(first.dataset.chart);
