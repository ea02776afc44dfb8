// One channel: its gate for every class, sorted.

async function askChannel(name, position, tell = true) {
  const own = await block(name);
  const before = asked.channel.block;
  asked.channel = { block: name, position: Math.min(position, own.embedded.length - 1) };
  byId("channel-block").value = name;
  const number = byId("channel-number");
  number.max = own.channels - 1;
  number.value = own.embedded[asked.channel.position];
  for (const changed of new Set([before, name])) panels.get(changed)?.mark();
  describeChannel(await sortedChannel());
  if (!tell) return;
  say(byId("channel-text").textContent);
  await renew(["channel"]);
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
  source(figure, "classes").data = {
    x: stacked,
    y: stacked.map((i) => mean[i]),
    who: stacked.map((i) => GATES.short[order[i]]),
    top: stacked.map((i) => mean[i] + std[i]),
    bottom: stacked.map((i) => mean[i] - std[i]),
    colour: stacked.map((i) => chosen.get(order[i]) ?? grey),
    size: stacked.map((i) => (front(i) ? 8 : 3)),
    alpha: stacked.map((i) => (front(i) ? 1 : 0.2)),
  };
  figure.x_range.setv({ start: -0.6, end: order.length - 0.4, bounds: [-0.6, order.length - 0.4] });
  const low = Math.min(...mean.map((m, i) => m - std[i]));
  const high = Math.max(...mean.map((m, i) => m + std[i]));
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
    // Nobody has asked yet: the channel of the last block that tells classes apart best.
    if (asked.channel.block === null) {
      const own = await block(GATES.blocks.at(-1).name);
      const [best] = ranked(own.embedded.length, (i) => own.selectivity(own.embedded[i]));
      await askChannel(own.name, best, false);
    }
    await fillChannel(figure);
  });
  byId("channel-block").addEventListener("change", ({ target }) => askChannel(target.value, 0));
  byId("channel-number").addEventListener("change", async ({ target }) => {
    const own = await block(byId("channel-block").value);
    const wanted = Number(target.value);
    const near = ranked(own.embedded.length, (i) => -Math.abs(own.embedded[i] - wanted))[0];
    await askChannel(own.name, near);
  });
  byId("channel-csv").addEventListener("click", saveChannel);
}
