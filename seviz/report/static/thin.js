// Curves of more channels than a panel has pixels: what is drawn of them.

/** Return the first position whose value is not below another one; values rise. */
function firstFrom(values, least) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Return positions of the lowest and of the highest point in each column of pixels: nothing that sticks
 * out is lost, and every one is a point of the curve. Where no more than two points fall to a column, all
 * are both. One point on either side of the view belongs to it, so that lines run on to the edge.
 *
 * @param x Places along the axis, rising.
 * @param lower What the lowest is found by; `upper` the highest.
 * @param view.start First place in view, `view.end` the last; `view.columns` are the pixels between them.
 */
function extremes(x, lower, upper, { start, end, columns }) {
  const first = Math.max(0, firstFrom(x, start) - 1);
  const last = Math.min(x.length, firstFrom(x, end) + 1);
  if (last - first <= 2 * columns) {
    const every = Array.from({ length: last - first }, (_, i) => first + i);
    return { lowest: every, highest: every };
  }
  const column = (i) => Math.floor(((x[i] - start) / (end - start)) * columns);
  const [lowest, highest] = [[], []];
  let i = first;
  while (i < last) {
    const here = column(i);
    let [low, high] = [i, i];
    for (; i < last && column(i) === here; i++) {
      if (lower[i] < lower[low]) low = i;
      if (upper[i] > upper[high]) high = i;
    }
    lowest.push(low);
    highest.push(high);
  }
  return { lowest, highest };
}

/** Return the positions that draw a curve: the extremes, in the order of the axis. */
function thinned(x, y, view) {
  const { lowest, highest } = extremes(x, y, y, view);
  const kept = [];
  lowest.forEach((low, k) => {
    const high = highest[k];
    if (low === high) kept.push(low);
    else kept.push(Math.min(low, high), Math.max(low, high));
  });
  return kept;
}

/**
 * Return the outline of a band: to the right along its highest points, and back along its lowest. One of
 * each for every two columns of pixels: finer ones take four times as long to fill.
 */
function outline(x, lower, upper, view) {
  const { lowest, highest } = extremes(x, lower, upper, { ...view, columns: view.columns / 2 });
  const back = [...lowest].reverse(); // the list may be that of the highest, too
  return {
    x: [...highest.map((i) => x[i]), ...back.map((i) => x[i])],
    y: [...highest.map((i) => upper[i]), ...back.map((i) => lower[i])],
  };
}
