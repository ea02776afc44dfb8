// One channel: its gate for every class, sorted, and what single images say of it.

let opening = null; // promise of the channel that the page opens with

async function askChannel(name, position, tell = true) {
  const own = await block(name);
  const before = asked.channel.block;
  asked.channel = { block: name, position: Math.min(position, own.embedded.length - 1) };
  byId("channel-block").value = name;
  const number = byId("channel-number");
  number.max = own.channels - 1;
  number.value = own.embedded[asked.channel.position];
  for (const changed of new Set([before, name])) panels.get(changed)?.mark();
  const sorted = await sortedChannel();
  describeChannel(sorted);
  await showSingles(sorted);
  if (!tell) return;
  say(byId("channel-text").textContent);
  remember();
  await renew(["channel"]);
}

/** Ask for the channel with this index, or the nearest that the page has. */
async function askIndex(name, wanted, tell = true) {
  const own = await block(name);
  const [near] = ranked(own.embedded.length, (i) => -Math.abs(own.embedded[i] - wanted));
  await askChannel(name, near, tell);
}

/** Return the channel that the page opens with: the one that tells classes apart best, in the block that does. */
function openingChannel() {
  opening ??= block(GATES.first).then((own) => {
    const [position] = ranked(own.embedded.length, (i) => own.selectivity(own.embedded[i]));
    return { block: own.name, position, channel: own.embedded[position] };
  });
  return opening;
}

/** Keep the channel in the address. */
function keepChannel() {
  let usual = null;
  openingChannel().then(({ block: name, channel }) => (usual = `${name}:${channel}`));
  const now = () => {
    const { block: name } = asked.channel;
    return name === null ? null : `${name}:${byId("channel-number").value}`;
  };
  keep("channel", {
    get: () => (now() === null || now() === usual ? [] : [now()]),
    set: async ([text = ""]) => {
      const [, name, index] = text.match(/^(.+):(\d{1,9})$/) ?? [];
      const known = GATES.blocks.find((one) => one.name === name);
      if (known !== undefined && Number(index) < known.channels) return askIndex(name, Number(index));
      const { block: first, position } = await openingChannel();
      return askChannel(first, position);
    },
  });
}

async function sortedChannel() {
  const own = await block(asked.channel.block);
  const { position } = asked.channel;
  const order = ranked(GATES.classes.length, (row) => own.mean(row, position));
  return { own, position, channel: own.embedded[position], order };
}

async function fillChannel(figure) {
  const { own, position, channel, order } = await sortedChannel();
  const chosen = new Map(asked.chosen.map((c) => [c.row, styleOf(c).colour]));
  const grey = colour("grey");
  const mean = order.map((row) => own.mean(row, position));
  const std = order.map((row) => own.std(row, position));
  // The chosen classes come last, on top; where there are many, the others step back.
  const crowd = order.length > MOST_NAMES;
  const stacked = ranked(order.length, (i) => (chosen.has(order[i]) ? 0 : 1));
  const front = (i) => !crowd || chosen.has(order[i]);
  figure.x_range.setv({ start: -0.6, end: order.length - 0.4, bounds: [-0.6, order.length - 0.4] });
  const known = await singlesOf(own.name);
  const boxes = order.map((row) => known?.box(row, position) ?? null);
  const boxed = boxes.every((box) => box !== null);
  const reach = (i) => (boxed ? [boxes[i][0], boxes[i][4]] : [mean[i] - std[i], mean[i] + std[i]]);
  source(figure, "boxes").data = {
    x: boxed ? stacked : [],
    first: boxed ? stacked.map((i) => boxes[i][1]) : [],
    median: boxed ? stacked.map((i) => boxes[i][2]) : [],
    third: boxed ? stacked.map((i) => boxes[i][3]) : [],
    colour: boxed ? stacked.map((i) => chosen.get(order[i]) ?? grey) : [],
  };
  source(figure, "classes").data = {
    x: stacked,
    y: stacked.map((i) => mean[i]),
    who: stacked.map((i) => GATES.short[order[i]]),
    top: stacked.map((i) => reach(i)[1]),
    bottom: stacked.map((i) => reach(i)[0]),
    spread: stacked.map((i) => std[i]),
    colour: stacked.map((i) => chosen.get(order[i]) ?? grey),
    size: stacked.map((i) => (front(i) ? 8 : 3)),
    alpha: stacked.map((i) => (front(i) ? 1 : 0.2)),
  };
  byId("channel-read").textContent = boxed
    ? "Dots are means, boxes hold the middle half of the images in the sample, with their median; lines go from the " +
      "smallest to the largest gate of all images."
    : "Dots are means, lines one standard deviation within the class.";
  const low = Math.min(...order.map((_, i) => reach(i)[0]));
  const high = Math.max(...order.map((_, i) => reach(i)[1]));
  const room = 0.05 * (high - low) || 0.01;
  figure.y_range.setv({ start: low - room, end: high + room });
  const step = order.length <= 40 ? 1 : niceStep(order.length / 10);
  const ticks = order.map((_, i) => i).filter((i) => i % step === 0);
  figure.below[0].ticker.ticks = ticks;
  figure.below[0].major_label_overrides = new Map(
    ticks.map((i) => [i, step === 1 ? clipped(GATES.short[order[i]], 16) : String(i + 1)]),
  );
}

/** Say in words what the chart of the channel shows. */
function describeChannel({ own, position, channel, order }) {
  byId("channel-title").textContent = `One channel: ${own.name}, channel ${channel}`;
  const named = (rows) =>
    rows.map((row) => `${GATES.short[row]} ${fixed(own.mean(row, position), 3)}`).join(", ");
  const few = Math.min(5, Math.ceil(order.length / 2));
  byId("channel-text").textContent =
    `Highest: ${named(order.slice(0, few))}. Lowest: ${named(order.slice(-few).reverse())}. ` +
    `Class share of this channel ${fixed(own.selectivity(channel), 3)}.`;
}

async function saveChannel() {
  const { own, position, channel, order } = await sortedChannel();
  const rows = order.map((row) => [
    own.name,
    channel,
    GATES.classes[row],
    fixed(own.mean(row, position), 6),
    fixed(own.std(row, position), 6),
  ]);
  saveCsv(`${own.name}_channel_${channel}`, [["block", "channel", "class", "mean", "std"], ...rows]);
}

function startChannel() {
  fillers.set("channel", async (figure) => {
    // Nobody has asked yet.
    if (asked.channel.block === null) {
      const { block: name, position } = await openingChannel();
      await askChannel(name, position, false);
    }
    await fillChannel(figure);
  });
  byId("channel-block").addEventListener("change", ({ target }) => askChannel(target.value, 0));
  byId("channel-number").addEventListener("change", ({ target }) =>
    askIndex(byId("channel-block").value, Number(target.value)),
  );
  keepChannel();
  byId("channel-csv").addEventListener("click", saveChannel);
}
