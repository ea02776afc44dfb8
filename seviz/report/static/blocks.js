// The gates of one block, as they are packed: every class on a sample of channels, some on all.

const GATES = PAGE.gates;
const LEVELS = 65535;
const MOST_DRAWN = 128; // channels of a block that are all drawn
const SOME = 50; // of a larger one, as in the paper

class Block {
  constructor(meta, words) {
    const count = GATES.classes.length;
    const { channels } = meta;
    Object.assign(this, meta);
    this.all = meta.sample === null;
    this.embedded = meta.sample ?? Array.from({ length: channels }, (_, i) => i);
    this.words = words;
    const sizes = [channels, channels, channels, count * this.embedded.length];
    const starts = sizes.reduce((found, size) => [...found, found.at(-1) + size], [0]);
    [this.selectivityAt, this.meanAt, this.stdAt, this.meansAt, this.stdsAt] = starts;
    this.namedAt = this.stdsAt + count * this.embedded.length;
  }

  level(word) {
    return this.low + (word / LEVELS) * (this.high - this.low);
  }

  width(word) {
    return (word / LEVELS) * this.widest;
  }

  selectivity(channel) {
    return this.words[this.selectivityAt + channel] / LEVELS;
  }

  allMean(channel) {
    return this.level(this.words[this.meanAt + channel]);
  }

  allStd(channel) {
    return this.width(this.words[this.stdAt + channel]);
  }

  /** Return a class on the channel at this position of the embedded ones. */
  mean(row, position) {
    return this.level(this.words[this.meansAt + row * this.embedded.length + position]);
  }

  std(row, position) {
    return this.width(this.words[this.stdsAt + row * this.embedded.length + position]);
  }

  /** Return the channels that are drawn: all, or as many as the paper draws of a large block. */
  drawnChannels(how) {
    if (how === "all" || this.channels <= MOST_DRAWN) return null;
    const last = this.embedded.length - 1;
    const some = Array.from({ length: SOME }, (_, i) => this.embedded[Math.floor((i * last) / (SOME - 1))]);
    return new Set(some);
  }

  /** Return channels, means and standard deviations of a class: all channels if it was named. */
  curve(row) {
    const named = this.all ? -1 : GATES.named.indexOf(row);
    if (named < 0) {
      return {
        channels: this.embedded,
        mean: this.embedded.map((_, i) => this.mean(row, i)),
        std: this.embedded.map((_, i) => this.std(row, i)),
      };
    }
    const channels = Array.from({ length: this.channels }, (_, i) => i);
    const at = this.namedAt + named * this.channels;
    const stds = this.namedAt + (GATES.named.length + named) * this.channels;
    return {
      channels,
      mean: channels.map((c) => this.level(this.words[at + c])),
      std: channels.map((c) => this.width(this.words[stds + c])),
    };
  }

  /** Return the mean over all classes, as a curve of all channels. */
  allCurve() {
    const channels = Array.from({ length: this.channels }, (_, c) => c);
    return {
      channels,
      mean: channels.map((c) => this.allMean(c)),
      std: channels.map((c) => this.allStd(c)),
    };
  }

  /** Return the place of each channel along the axis. */
  places(order) {
    this.known ??= new Map();
    if (!this.known.has(order)) {
      const key = order === "mean" ? (c) => this.allMean(c) : (c) => this.selectivity(c);
      const places = new Array(this.channels);
      if (order === "index") for (let c = 0; c < this.channels; c++) places[c] = c;
      else ranked(this.channels, key).forEach((channel, place) => (places[channel] = place));
      this.known.set(order, places);
    }
    return this.known.get(order);
  }

  /** Return the embedded channel nearest to a place, as its position among the embedded ones. */
  nearest(place, order) {
    const places = this.places(order);
    let best = 0;
    this.embedded.forEach((channel, i) => {
      const far = Math.abs(places[channel] - place);
      if (far < Math.abs(places[this.embedded[best]] - place)) best = i;
    });
    return best;
  }
}

const blocks = new Map(); // name -> promise of its numbers

function block(name) {
  if (!blocks.has(name)) {
    const meta = GATES.blocks.find((b) => b.name === name);
    blocks.set(name, unpack(`gates-${name}`).then((words) => new Block(meta, words)));
  }
  return blocks.get(name);
}
