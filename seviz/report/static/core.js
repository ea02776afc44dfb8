// The page's own code: it unpacks the data, lets Bokeh draw charts when they come into view, and
// fills them with what the reader chooses. Text from elsewhere is only ever set as text.
"use strict";

const byId = (id) => document.getElementById(id);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const readJson = (id) => JSON.parse(byId(id).textContent);
const PAGE = readJson("data");

/** Return what is deflated, in base64, as the browser hands it out. */
function inflate(id) {
  const text = atob(byId(id).textContent);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream);
}

/** Return the numbers of a blob: planes of bytes, deflated, in base64. */
async function unpack(name, bytes = 2) {
  const planes = new Uint8Array(await inflate(`blob-${name}`).arrayBuffer());
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

/** Return what long work awaits at every step: it lets the browser paint and answer now and then. */
function pauses(longest = 50) {
  let since = performance.now();
  return async () => {
    if (performance.now() - since < longest) return;
    await breath();
    since = performance.now();
  };
}

/** Say something to who listens instead of looking. */
function say(text) {
  byId("said").textContent = text;
}

/** Return positions 0, 1, ... sorted by a key, the largest first; equal ones keep their order. */
function ranked(count, key) {
  return Array.from({ length: count }, (_, i) => i).sort((a, b) => key(b) - key(a) || a - b);
}

/** Say that a search found nothing. */
const nothing = (kind, wanted, count) =>
  `No ${kind} of ${count.toLocaleString("en")} has “${wanted.trim()}” in its name.`;

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
const fillers = new Map(); // name -> what fills it with what is asked for

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
  // A finger scrolls the page; the buttons zoom.
  if (coarse.matches) figure.toolbar.setv({ active_drag: null, active_scroll: null });
  await fill(name, figure);
  byId(`canvas-${name}`).dataset.drawn = "yes";
  return figure;
}

async function fill(name, figure) {
  paint(figure);
  await fillers.get(name)?.(figure);
}

const inView = new Set(); // charts that can be seen
const near = new Set(); // and those that nearly can
const stale = new Set(); // drawn charts that show what was asked for before
let renewing = null; // promise of the work on them

/** Fill drawn charts anew: what is seen first, one after the other; what is far when it comes near. */
function renew(names) {
  for (const name of names) if (drawn.has(name)) stale.add(name);
  renewing ??= renewNear();
  return renewing;
}

async function renewNear() {
  await null; // what is asked for in one go is done in one go
  try {
    for (;;) {
      const waiting = [...stale];
      const name =
        waiting.find((one) => inView.has(one)) ?? waiting.find((one) => near.has(one));
      if (name === undefined) return;
      stale.delete(name);
      await fill(name, await drawn.get(name));
      await breath();
    }
  } finally {
    renewing = null;
  }
}

/** Return the data of the glyphs of one kind. */
function source(figure, name) {
  return figure.renderers.find((renderer) => renderer.data_source?.name === name).data_source;
}

/** Return the width of what is drawn between the axes, about that before it is laid out. */
function drawnWidth(figure) {
  return figure.inner_width || 0.8 * byId(`canvas-${figure.name}`).clientWidth;
}

/** Call back when ranges have moved: once for a move of several, and before they are painted. */
function onMove(ranges, callback) {
  let asked = false;
  const moved = () => {
    if (asked) return;
    asked = true;
    queueMicrotask(() => {
      asked = false;
      callback();
    });
  };
  for (const range of ranges) range.connect(range.change, moved);
}

/** Call back when a chart has another width: Bokeh is in the middle of its layout, where nothing may change. */
function onWidth(figure, callback) {
  figure.connect(figure.properties.inner_width.change, () => requestAnimationFrame(callback));
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

/**
 * Return a text that no spreadsheet runs, as seviz writes it; numbers, alone or with an interval, are none.
 * One that separates by other signs than commas splits it: what would then begin as a formula is marked, too.
 */
function inert(text) {
  const number = String.raw`[+-]?\d[\d.,]*(e[+-]?\d+)?%?`;
  const plain = new RegExp(String.raw`^${number}( \[${number}, ${number}\])?$`);
  const begins = /^'*[=+\-@\t\r\n]/.test(text) && text !== "-" && !plain.test(text);
  return (begins ? `'${text}` : text).replace(/([,;|\t\r\n])(?=["']*[=+\-@])/g, "$1'");
}

/** Return a cell of CSV: quoted where it holds what ends a cell here, or in a spreadsheet of another country. */
function csvCell(value) {
  const text = inert(String(value));
  return /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Give the reader a table as a file.
 * @param rows Made one by one where they are many, so that the page answers meanwhile.
 */
async function saveCsv(name, rows) {
  const pause = pauses();
  const lines = [];
  for (const row of rows) {
    lines.push(`${row.map(csvCell).join(",")}\n`);
    await pause();
  }
  download(`${name}.csv`, lines);
  say(`Saved ${name}.csv, ${lines.length - 1} rows`);
}

function download(file, parts) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type: "text/csv" }));
  link.download = file;
  link.click();
  URL.revokeObjectURL(link.href);
}
