// The panels: the chosen curves of each block, drawn no finer than the pixels; all move together.

/** Return a curve along the axis: only channels that are drawn, in the order of their places. */
function along({ channels, mean, std }, places, only) {
  const at = []; // by place
  channels.forEach((channel, i) => {
    if (only === null || only.has(channel)) at[places[channel]] = i;
  });
  const order = at.filter((i) => i !== undefined);
  const lower = order.map((i) => mean[i] - std[i]);
  const upper = order.map((i) => mean[i] + std[i]);
  return {
    x: order.map((i) => places[channels[i]]),
    mean: order.map((i) => mean[i]),
    std: order.map((i) => std[i]),
    channel: order.map((i) => channels[i]),
    lower,
    upper,
  };
}

/** Return the curves that are asked for, and how each looks. */
function chosenCurves(own) {
  const places = own.places(asked.order);
  const only = own.drawnChannels(asked.channels);
  const width = Math.min(1.6, Math.max(0.8, 14 / Math.sqrt(only?.size ?? own.channels)));
  const curves = asked.chosen.map((chosen) => ({
    ...along(own.curve(chosen.row), places, only),
    who: GATES.short[chosen.row],
    look: { width, ...styleOf(chosen) },
    band: asked.band,
  }));
  if (asked.all) {
    const look = { width: 1, colour: colour("ink"), dash: [4, 3] };
    curves.push({ ...along(own.allCurve(), places, only), who: "all", look, band: false });
  }
  return curves;
}

const panels = new Map(); // name of a block -> its drawn panel
const panelOf = (name) => document.querySelector(`[data-panel="${CSS.escape(name)}"]`);

class Panel {
  constructor(own, figure) {
    const { x_range: across, y_range: up } = figure;
    this.own = own;
    this.figure = figure;
    this.across = [across.start, across.end];
    this.up = [up.start, up.end];
    this.curves = null; // what is asked for; null until that is known
    this.whole = null; // curves that Bokeh has in full, so that moving changes nothing
    this.given = []; // ranges that the page has set, not the reader
    onMove([across, up], () => this.moved());
    onWidth(figure, () => this.draw());
  }

  get ranges() {
    const { x_range: across, y_range: up } = this.figure;
    return [across.start, across.end, up.start, up.end];
  }

  /** Show the part that all panels show, in shares of the axis: blocks differ in channels. */
  moveTo({ left, right, bottom, top }) {
    const [first, last] = this.across;
    const place = (share) => first + share * (last - first);
    this.figure.x_range.setv({ start: place(left), end: place(right) });
    this.figure.y_range.setv({ start: bottom, end: top });
    this.given = this.ranges;
    this.draw();
  }

  /** Take the other panels along where the reader has moved this one. */
  moved() {
    const now = this.ranges;
    if (now.every((value, i) => value === this.given[i])) return;
    this.given = now;
    const [start, end, bottom, top] = now;
    const [first, last] = this.across;
    const share = (place) => (place - first) / (last - first);
    asked.view = { left: share(start), right: share(end), bottom, top };
    remember(FLOW);
    this.draw();
    renew(panelCharts().filter((name) => name !== this.figure.name));
  }

  /** Hand Bokeh what of the curves can be seen. */
  draw() {
    this.curves ??= chosenCurves(this.own);
    const columns = Math.ceil(drawnWidth(this.figure));
    const crowded = this.curves.some(({ x }) => x.length > columns);
    if (!crowded && this.whole === this.curves) return;
    this.whole = crowded ? null : this.curves;
    const [start, end] = crowded ? this.ranges : this.across;
    this.hand({ start, end, columns });
    this.figure.below[0].axis_label =
      asked.order === "index"
        ? "channel"
        : `channels by ${asked.order === "mean" ? "mean gate" : "selectivity"}, highest first`;
    this.mark();
  }

  hand(view) {
    const lines = { xs: [], ys: [], colour: [], dash: [], width: [] };
    const points = { x: [], y: [], who: [], channel: [], spread: [] };
    const bands = { xs: [], ys: [], colour: [] };
    for (const { x, mean, std, lower, upper, channel, who, look, band } of this.curves) {
      const kept = thinned(x, mean, view);
      const [across, up] = [kept.map((i) => x[i]), kept.map((i) => mean[i])];
      lines.xs.push(across);
      lines.ys.push(up);
      lines.colour.push(look.colour);
      lines.dash.push(look.dash);
      lines.width.push(look.width);
      points.x.push(...across);
      points.y.push(...up);
      points.who.push(...kept.map(() => who));
      points.channel.push(...kept.map((i) => channel[i]));
      points.spread.push(...kept.map((i) => std[i]));
      if (band) {
        const around = outline(x, lower, upper, view);
        bands.xs.push(around.x);
        bands.ys.push(around.y);
        bands.colour.push(look.colour);
      }
    }
    source(this.figure, "bands").data = bands;
    source(this.figure, "lines").data = lines;
    source(this.figure, "points").data = points;
  }

  /** Mark the channel that is asked for, if it is of this block. */
  mark() {
    const { own } = this;
    const here = asked.channel.block === own.name;
    const at = here ? own.places(asked.order)[own.embedded[asked.channel.position]] : 0;
    source(this.figure, "marker").data = here
      ? { x: [at], low: [own.low - 1], high: [own.high + 1] }
      : { x: [], low: [], high: [] };
  }

  /** Return the smallest and the largest value of the curves. */
  get extent() {
    this.curves ??= chosenCurves(this.own);
    let [low, high] = [Infinity, -Infinity];
    for (const { mean, lower, upper, band } of this.curves) {
      for (const value of band ? lower : mean) low = Math.min(low, value);
      for (const value of band ? upper : mean) high = Math.max(high, value);
    }
    return [low, high];
  }
}

const panelCharts = () => GATES.blocks.map(({ name }) => `gates-${name}`);

/** Draw what is asked for now. */
function redrawPanels() {
  for (const panel of panels.values()) panel.curves = null;
  if (asked.fitted) fitPanels();
  return renew(panelCharts());
}

function movePanels(view) {
  asked.view = view;
  return renew(panelCharts());
}

/** Make the vertical axis as long as the curves of all panels that are shown, or whole again. */
function fitPanels() {
  const shown = [...panels].filter(([name]) => !panelOf(name).hidden);
  if (shown.length === 0) return;
  let [bottom, top] = shown[0][1].up;
  if (asked.fitted) {
    const extents = shown.map(([, panel]) => panel.extent);
    const low = Math.min(...extents.map(([least]) => least));
    const high = Math.max(...extents.map(([, most]) => most));
    const room = 0.05 * (high - low) || 0.01;
    [bottom, top] = [low - room, high + room];
  }
  movePanels({ ...asked.view, bottom, top });
}

function zoomPanels(by) {
  const [panel] = panels.values();
  if (panel === undefined) return;
  const [left, right] = zoomed({ start: asked.view.left, end: asked.view.right }, [0, 1], by);
  const [bottom, top] =
    by === 0 && !asked.fitted ? panel.up : [asked.view.bottom, asked.view.top];
  movePanels({ left, right, bottom, top });
}

/** Return the part of the panels that is shown, for the address; nothing where that is the whole. */
function saidView() {
  if (asked.view === null) return [];
  const { left, right, bottom, top } = asked.view;
  if (left <= 0 && right >= 1 && (asked.fitted || isWholeUp(bottom, top))) return [];
  return [[left, right, bottom, top].map((value) => Number(value.toFixed(4))).join(",")];
}

const isWholeUp = (bottom, top) => {
  const [panel] = panels.values();
  return panel === undefined || (bottom === panel.up[0] && top === panel.up[1]);
};

function moveToView([text]) {
  const numbers = (text ?? "").split(",").map(Number);
  const [left, right, bottom, top] = numbers;
  const good = numbers.length === 4 && numbers.every(Number.isFinite) && left < right && bottom < top;
  if (good) return movePanels({ left: Math.max(0, left), right: Math.min(1, right), bottom, top });
  const [panel] = panels.values();
  if (panel === undefined) {
    asked.view = null;
    return undefined;
  }
  return movePanels({ left: 0, right: 1, bottom: panel.up[0], top: panel.up[1] });
}

async function fillPanel(name, figure) {
  if (!panels.has(name)) {
    const panel = new Panel(await block(name), figure);
    panels.set(name, panel);
    const [bottom, top] = panel.up;
    asked.view ??= { left: 0, right: 1, bottom, top };
    if (asked.fitted) fitPanels();
    figure.on_event("tap", ({ x }) => askChannel(name, panel.own.nearest(x, asked.order)));
  }
  panels.get(name).moveTo(asked.view);
}
