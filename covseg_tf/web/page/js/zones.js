/**
 * Extent scores and lung zones, as `covseg_tf.edge.zones`.
 * @module
 */

const THIRDS = ['upper', 'middle', 'lower'];
const THRESHOLD = 5;

/**
 * The zones of two lungs: each lung's own height in three equal parts.
 * @param {Uint8Array} infection 0 or 1, row by row.
 * @param {Uint8Array[]} sides The patient's right and left lung, likewise.
 * @param {number} columns Width of the masks.
 * @returns {{percents: Object<string, number>, threshold: number, count: number}}
 *   Percent by zone, and how many of the six are above the threshold.
 */
export function measureZones(infection, sides, columns) {
  const percents = {};
  ['right', 'left'].forEach((name, which) => {
    const lung = sides[which];
    const top = Math.floor(lung.indexOf(1) / columns);
    const height = Math.floor(lung.lastIndexOf(1) / columns) + 1 - top;
    THIRDS.forEach((third, number) => {
      const [from, to] = [number, number + 1].map((n) =>
        (top + Math.floor((height * n) / 3)) * columns);
      percents[`${name}_${third}`] = percentOf(
        infection.subarray(from, to), lung.subarray(from, to));
    });
  });
  const count = Object.values(percents).filter((x) => x > THRESHOLD).length;
  return {percents, threshold: THRESHOLD, count};
}

/**
 * The score of one lung's extent (Wong et al. 2020, doi:10.1148/radiol.2020201160).
 * @param {?number} percent Percent of the lung, or `null`.
 * @returns {?number} 0 to 4, or `null`.
 */
export function extentScore(percent) {
  if (percent === null) return null;
  if (percent <= 0) return 0;
  if (percent < 25) return 1;
  return percent <= 50 ? 2 : percent <= 75 ? 3 : 4;
}

/**
 * Percent of a lung that infection covers.
 * @param {Uint8Array} infection 0 or 1.
 * @param {Uint8Array} lung Likewise.
 * @returns {number} In [0, 100]; 0 for no lung.
 */
export function percentOf(infection, lung) {
  let [area, both] = [0, 0];
  lung.forEach((x, i) => {
    area += x;
    both += x & infection[i];
  });
  return area ? (100 * both) / area : 0;
}
