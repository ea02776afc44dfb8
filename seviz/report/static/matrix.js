// A matrix of any size: one image, names where there is room for them, and the cell under the pointer.

const MOST_NAMES = 40;
const MOST_NUMBERS = 900;
const LEAST_ROOM = 11; // pixels that a column takes to be named

class Matrix {
  /**
   * @param figure Bokeh's figure, from `matrix_chart`.
   * @param group Name of the buttons that zoom it.
   */
  constructor(figure, group) {
    this.figure = figure;
    this.cells = source(figure, "cells");
    this.cursor = source(figure, "cursor");
    this.cross = source(figure, "cross");
    this.numbers = figure.renderers.some((r) => r.data_source?.name === "numbers")
      ? source(figure, "numbers")
      : null;
    this.image = figure.renderers.find((r) => r.name === "image");
    this.bar = figure.right.find((side) => side.name === "bar");
    this.shape = [0, 0];
    onWidth(figure, () => this.label());
    onMove([figure.x_range, figure.y_range], () => {
      this.label();
      remember(FLOW);
    });
    figure.on_event("mousemove", ({ x, y }) => this.point(Math.floor(y), Math.floor(x)));
    figure.on_event("mouseleave", () => this.point(-1, -1));
    zooms.set(group, (by) => this.zoom(by));
  }

  /**
   * Show values.
   * @param content.values Float32Array, row by row; NaN is left blank.
   * @param content.rows Names of the rows.
   * @param content.columns Names of the columns.
   * @param content.colours Which: "sequential", or "diverging" for both sides of zero.
   * @param content.log Whether colours go by the logarithm.
   * @param content.low Value of the first colour.
   * @param content.high Value of the last colour.
   * @param content.describe What is said of a cell: an object of texts.
   * @param content.text Number of a cell, as text.
   */
  show(content) {
    this.content = content;
    const { rows, columns } = content;
    const [height, width] = [rows.length, columns.length];
    const level = content.log ? Math.log10 : (value) => value;
    const NdArray = this.cells.data.image[0].constructor;
    const values = content.log ? content.values.map(Math.log10) : content.values;
    const image = new NdArray(values.buffer, [height, width]);
    const mapper = this.image.glyph.color_mapper;
    // Told at the end: Bokeh would colour every cell at each of these changes.
    mapper.setv(
      {
        palette: PAGE.palettes[dark.matches ? "dark" : "light"][content.colours ?? "sequential"],
        low: level(content.low),
        high: level(content.high),
      },
      { silent: true },
    );
    this.cells.setv({ data: { image: [image], dw: [width], dh: [height] } }, { silent: true });
    this.cells.change.emit();
    this.scale(content);
    if (this.shape[0] !== height || this.shape[1] !== width) {
      this.shape = [height, width];
      // Bokeh keeps a range within the bounds that it had.
      for (const range of [this.figure.x_range, this.figure.y_range]) range.bounds = null;
      this.figure.x_range.setv({ start: 0, end: width });
      this.figure.y_range.setv({ start: height, end: 0 });
      this.figure.x_range.bounds = [0, width];
      this.figure.y_range.bounds = [0, height];
    }
    this.point(-1, -1);
    this.mark(-1, -1);
    this.label();
  }

  /** Name the levels of the colours. */
  scale({ unit, log, low, high }) {
    const size = high - low;
    const step = niceStep(size / 5);
    const ticks = [];
    if (log) {
      for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10) {
        ticks.push(...[1, 2, 5].map((n) => n * power).filter((n) => n >= low && n <= high));
      }
    } else {
      for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * size; i++) ticks.push(i * step);
    }
    const at = (value) => (log ? Math.log10(value) : value);
    this.bar.ticker.ticks = ticks.map(at);
    this.bar.setv({
      title: unit,
      major_label_overrides: new Map(ticks.map((n) => [at(n), String(Number(n.toPrecision(3)))])),
    });
  }

  zoom(by) {
    const [height, width] = this.shape;
    const [left, right] = zoomed(this.figure.x_range, [0, width], by);
    const [bottom, top] = zoomed(this.figure.y_range, [height, 0], by);
    this.figure.x_range.setv({ start: left, end: right });
    this.figure.y_range.setv({ start: bottom, end: top });
  }

  /** Return the part in view, for the address; nothing where that is the whole. */
  said() {
    const [height, width] = this.shape;
    const { x_range: across, y_range: down } = this.figure;
    const ends = [across.start, across.end, down.end, down.start];
    const whole = [0, width, 0, height].every((value, i) => Math.abs(value - ends[i]) < 1e-6);
    return whole ? [] : [ends.map((value) => Number(value.toFixed(2))).join(",")];
  }

  /** Bring a part into view; the whole, where it is none. */
  see([text]) {
    const [height, width] = this.shape;
    const [left, right, top, bottom] = (text ?? "").split(",").map(Number);
    const good = left >= 0 && left < right && right <= width && top >= 0 && top < bottom && bottom <= height;
    this.figure.x_range.setv({ start: good ? left : 0, end: good ? right : width });
    this.figure.y_range.setv({ start: good ? bottom : height, end: good ? top : 0 });
  }

  /** Draw a line around a row and a column. */
  mark(row, column) {
    const [height, width] = this.shape;
    const data = { x: [], y: [], w: [], h: [] };
    const add = (x, y, w, h) => {
      data.x.push(x);
      data.y.push(y);
      data.w.push(w);
      data.h.push(h);
    };
    if (row >= 0) add(width / 2, row + 0.5, width, 1);
    if (column >= 0) add(column + 0.5, height / 2, 1, height);
    this.cross.data = data;
  }

  /** Put the frame on a cell; Bokeh's hover tells what it holds. */
  point(row, column) {
    const [height, width] = this.shape;
    const inside = row >= 0 && column >= 0 && row < height && column < width;
    const key = inside ? row * width + column : -1;
    if (key === this.pointed) return;
    this.pointed = key;
    const told = inside ? this.content.describe(row, column) : {};
    const data = { x: inside ? [column + 0.5] : [], y: inside ? [row + 0.5] : [] };
    for (const field of this.cursor.columns()) {
      if (field !== "x" && field !== "y") data[field] = inside ? [told[field]] : [];
    }
    this.cursor.data = data;
  }

  /** Name the rows and columns in view where there is room, number them where there is none. */
  label() {
    if (this.content === undefined) return;
    const { figure } = this;
    const { rows, columns } = this.content;
    this.name(figure.left[0], figure.y_range, rows, false);
    this.name(figure.below[0], figure.x_range, columns, true);
    if (this.numbers !== null) this.number();
  }

  name(axis, { start, end }, names, across) {
    const first = Math.max(0, Math.floor(Math.min(start, end) + 1e-9));
    const last = Math.min(names.length, Math.ceil(Math.max(start, end) - 1e-9));
    const count = last - first;
    const tight = across && drawnWidth(this.figure) / count < LEAST_ROOM;
    const step = count <= MOST_NAMES && !tight ? 1 : niceStep(count / 8);
    const ticks = [];
    const labels = new Map();
    for (let i = Math.ceil(first / step) * step; i < last; i += step) {
      ticks.push(i + 0.5);
      labels.set(i + 0.5, clipped(names[i], across ? 14 : 18));
    }
    axis.ticker.ticks = ticks;
    axis.major_label_overrides = labels;
    if (across) {
      const longest = Math.max(...[...labels.values()].map((label) => label.length), 0);
      const room = drawnWidth(this.figure) / Math.max(ticks.length, 1);
      axis.major_label_orientation = longest * 8 < room ? 0 : 0.9;
    }
  }

  number() {
    const { x_range: across, y_range: down } = this.figure;
    const { values, columns, text, low, high, log } = this.content;
    const [height, width] = this.shape;
    const [left, right] = [Math.floor(across.start), Math.ceil(across.end)];
    const [top, bottom] = [Math.floor(down.end), Math.ceil(down.start)];
    const data = { x: [], y: [], text: [], colour: [] };
    const room = drawnWidth(this.figure) / (right - left);
    if ((right - left) * (bottom - top) <= MOST_NUMBERS && room >= 26) {
      const { palette } = this.image.glyph.color_mapper;
      for (let row = Math.max(0, top); row < Math.min(height, bottom); row++) {
        for (let column = Math.max(0, left); column < Math.min(width, right); column++) {
          const value = values[row * columns.length + column];
          if (Number.isNaN(value)) continue;
          const share = log
            ? Math.log(value / low) / Math.log(high / low)
            : (value - low) / (high - low);
          const place = Math.round(share * (palette.length - 1));
          data.x.push(column + 0.5);
          data.y.push(row + 0.5);
          data.text.push(text(value));
          data.colour.push(legible(palette[Math.min(palette.length - 1, Math.max(0, place))]));
        }
      }
    }
    this.numbers.data = data;
  }
}

/** Return 1, 2 or 5 times a power of ten, at least as large as a number. */
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= least);
}

/** Return black or white, whichever is easier to read on a colour. */
function legible(background) {
  const level = (from) => (parseInt(background.slice(from, from + 2), 16) / 255) ** 2.2;
  const luminance = 0.2126 * level(1) + 0.7152 * level(3) + 0.0722 * level(5);
  return luminance > 0.18 ? "#1b1b1b" : "#ffffff";
}
