/**
 * From a map to the extent that readers would have given, as `covseg_tf.edge.readers`.
 * @module
 */

/**
 * Readers' extent of a lung.
 * @param {{scale: number, offset: number, shares: number[], extents: number[]}}
 *   readers The style of the logit, and the knots of the line from share to extent.
 * @param {Uint8Array} levels Infection probability times 256.
 * @param {Uint8Array} lung 0 or 1, not empty.
 * @returns {number} 0 to 4, with one decimal.
 */
export function readersExtent({scale, offset, shares, extents}, levels, lung) {
  const counts = new Array(256).fill(0);
  lung.forEach((inside, i) => {
    if (inside) counts[levels[i]] += 1;
  });
  let [sum, area] = [0, 0];
  counts.forEach((count, level) => {
    const logit = Math.log((level || 0.5) / (256 - (level || 0.5)));
    sum += count / (1 + Math.exp(-(scale * logit + offset)));
    area += count;
  });
  return Math.floor(10 * interpolate(sum / area, shares, extents) + 0.5) / 10;
}

function interpolate(x, from, to) {
  if (x <= from[0]) return to[0];
  const right = from.findIndex((knot) => knot >= x);
  if (right < 0) return to[to.length - 1];
  const part = (x - from[right - 1]) / (from[right] - from[right - 1]);
  return to[right - 1] + part * (to[right] - to[right - 1]);
}
