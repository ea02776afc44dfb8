// The page's own code: it unpacks the data, lets Bokeh draw charts when they come into view, and
// fills them with what the reader chooses. Text from elsewhere is only ever set as text.
"use strict";

const byId = (id) => document.getElementById(id);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const readJson = (id) => JSON.parse(byId(id).textContent);
const PAGE = readJson("data");

/** Return the numbers of a blob: planes of bytes, deflated, in base64. */
async function unpack(name, bytes = 2) {
  const text = atob(byId(`blob-${name}`).textContent);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const size = planes.length / bytes;
  const values = bytes === 2 ? new Uint16Array(size) : new Uint32Array(size);
  for (let plane = 0; plane < bytes; plane++) {
    const shift = 8 * plane;
    const from = plane * size;
    for (let i = 0; i < size; i++) values[i] |= planes[from + i] << shift;
  }
  return values;
}

/** Let the browser paint, and answer, before the next piece of work. */
const breath = () => new Promise((go) => setTimeout(go, 0));

/** Say something to who listens instead of looking. */
function say(text) {
  byId("said").textContent = text;
}

/** Return positions 0, 1, ... sorted by a key, the largest first; equal ones keep their order. */
function ranked(count, key) {
  return Array.from({ length: count }, (_, i) => i).sort((a, b) => key(b) - key(a) || a - b);
}

const fixed = (value, digits = 4) => value.toFixed(digits);
const percent = (value) => `${(100 * value).toFixed(1)}%`;
const clipped = (name, most = 18) =>
  name.length <= most ? name : `${name.slice(0, most - 1).trimEnd()}…`;

// --- colours ----------------------------------------------------------------------------------

const dark = matchMedia("(prefers-color-scheme: dark)");
const coarse = matchMedia("(pointer: coarse)");

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Give a chart the colours of the page. */
function paint(figure) {
  const [ink, grey, rule] = ["ink", "grey", "rule"].map(colour);
  for (const side of [...figure.left, ...figure.right, ...figure.above, ...figure.below]) {
    if (side.type === "ColorBar") {
      side.setv({ title_text_color: ink, major_label_text_color: grey });
    } else if (side.major_label_text_color !== undefined) {
      side.setv({
        axis_label_text_color: ink,
        major_label_text_color: grey,
        axis_line_color: side.axis_line_color === null ? null : rule,
        major_tick_line_color: rule,
      });
    }
  }
  for (const grid of figure.center) {
    if (grid.grid_line_color !== null) grid.grid_line_color = rule;
  }
  for (const renderer of figure.renderers) {
    for (const glyph of [renderer.glyph, renderer.hover_glyph]) {
      const kind = glyph?.tags?.find((tag) => tag === "ink" || tag === "grey");
      if (kind !== undefined) glyph.line_color = { value: kind === "ink" ? ink : grey };
    }
  }
}

// --- charts -----------------------------------------------------------------------------------

/** Whether a real GPU draws. One that is only imitated takes a hundred times as long as the canvas. */
const gpu = (() => {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("webgl", { failIfMajorPerformanceCaveat: true });
  if (context === null) return false;
  const known = context.getExtension("WEBGL_debug_renderer_info");
  const name = context.getParameter(known?.UNMASKED_RENDERER_WEBGL ?? context.RENDERER);
  context.getExtension("WEBGL_lose_context")?.loseContext();
  return !/swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
})();

const drawn = new Map(); // name -> promise of its figure
const fillers = new Map(); // name -> what fills it when it is drawn

/** Draw a chart, once; it is filled before it is seen. */
function draw(name) {
  if (!drawn.has(name)) drawn.set(name, embed(name));
  return drawn.get(name);
}

async function embed(name) {
  const item = readJson(`chart-${name}`);
  if (!gpu) item.doc.roots[0].attributes.output_backend = "canvas";
  const [view] = await Bokeh.embed.embed_item(item, `canvas-${name}`);
  const figure = view.model;
  paint(figure);
  // A finger scrolls the page; the buttons zoom.
  if (coarse.matches) figure.toolbar.setv({ active_drag: null, active_scroll: null });
  await fillers.get(name)?.(figure);
  byId(`canvas-${name}`).dataset.drawn = "yes";
  return figure;
}

/** Return the data of the glyphs of one kind. */
function source(figure, name) {
  return figure.renderers.find((renderer) => renderer.data_source?.name === name).data_source;
}

/** Call back whenever a range moves, once for each frame. */
function onMove(range, callback) {
  let asked = false;
  range.connect(range.change, () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      callback();
    });
  });
}

/** Zoom a range about its middle, within its whole; 0 shows the whole. */
function zoomed({ start, end }, [first, last], by) {
  if (by === 0) return [first, last];
  const low = Math.min(first, last);
  const high = Math.max(first, last);
  const middle = (start + end) / 2;
  const half = (Math.abs(end - start) * by) / 2;
  const from = Math.max(low, middle - half);
  const to = Math.min(high, middle + half);
  return first < last ? [from, to] : [to, from];
}

const zooms = new Map(); // group -> what zooms it

// --- files ------------------------------------------------------------------------------------

/** Give the reader a table as a file. */
function saveCsv(name, rows) {
  const quoted = (cell) => {
    const text = String(cell);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const text = rows.map((row) => row.map(quoted).join(",")).join("\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text, "\n"], { type: "text/csv" }));
  link.download = `${name}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
  say(`Saved ${link.download}, ${rows.length - 1} rows`);
}
