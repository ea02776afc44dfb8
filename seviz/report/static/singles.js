// What is known of single channels from the sample of images: spread by class, images at either end, and
// channels that move with it.

const SINGLES = PAGE.singles;

class Singles {
  constructor(own, meta, words) {
    Object.assign(this, meta);
    this.own = own;
    this.words = words;
    const count = own.embedded.length;
    const classes = GATES.classes.length;
    const box = this.boxes ? classes * count : 0;
    const ends = count * this.kept;
    const others = count * SINGLES.companions;
    const sizes = [box, box, box, box, box, ends, ends, ends, ends, others, others, others];
    this.starts = sizes.reduce((found, size) => [...found, found.at(-1) + size], [0]);
    this.count = count;
  }

  word(part, place) {
    return this.words[this.starts[part] + place];
  }

  level(part, place) {
    return this.low + (this.word(part, place) / LEVELS) * (this.high - this.low);
  }

  /** Return smallest gate, quartiles and largest gate of a class; null where too few images tell. */
  box(row, position) {
    if (!this.boxes) return null;
    return [0, 1, 2, 3, 4].map((part) => this.level(part, row * this.count + position));
  }

  /** Return images with their gates: those with the largest, or with the smallest. */
  images(position, largest) {
    const first = position * this.kept;
    if (this.word(6, first) === this.word(8, first)) return []; // the same for every image
    const part = largest ? 5 : 7;
    return Array.from({ length: this.kept }, (_, i) => {
      const place = position * this.kept + i;
      return { image: this.word(part, place), gate: this.level(part + 1, place) };
    });
  }

  /** Return the channels that are known to move with one. */
  companions(position) {
    const found = [];
    for (let i = 0; i < SINGLES.companions; i++) {
      const place = position * SINGLES.companions + i;
      const block = this.word(9, place);
      if (block === 0) continue;
      const name = GATES.blocks[block - 1].name;
      found.push({ name, channel: this.word(10, place), r: (this.word(11, place) / LEVELS) * 2 - 1 });
    }
    return found;
  }
}

const singles = new Map(); // name of a block -> promise of what is known of its channels

/** Return what is known of the channels of a block; null where the record keeps no single images. */
function singlesOf(name) {
  if (SINGLES?.blocks[name] === undefined) return Promise.resolve(null);
  if (!singles.has(name)) {
    const read = async () => new Singles(await block(name), SINGLES.blocks[name], await unpack(`single-${name}`));
    singles.set(name, read());
  }
  return singles.get(name);
}

function listImages(id, images) {
  const items = images.map(({ image, gate }) =>
    imageItem(SINGLES.images[image], SINGLES.names[image], `${GATES.short[SINGLES.rows[image]]}, ${fixed(gate, 3)}`),
  );
  if (items.length === 0) {
    const none = document.createElement("li");
    none.textContent = "none: it is the same for every image";
    items.push(none);
  }
  byId(id).replaceChildren(...items);
}

/** Show the images at either end of a channel, and the channels that move with it. */
async function showSingles({ own, position }) {
  const known = await singlesOf(own.name);
  byId("channel-singles").hidden = known === null;
  if (known === null) return;
  listImages("channel-largest", known.images(position, true));
  listImages("channel-smallest", known.images(position, false));
  const links = known.companions(position).map(({ name, channel, r }) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.textContent = `${name}:${channel}`;
    link.href = `#channel-title?${new URLSearchParams({ channel: link.textContent })}`;
    item.append(link, ` ${r < 0 ? "−" : "+"}${fixed(Math.abs(r), 2)}`);
    return item;
  });
  if (links.length === 0) {
    const none = document.createElement("li");
    none.textContent = "none that is known";
    links.push(none);
  }
  byId("channel-companions").replaceChildren(...links);
}
