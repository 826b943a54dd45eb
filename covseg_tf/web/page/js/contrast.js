/**
 * What is left of a film's shades, as `covseg_tf.imaging.contrast` says it.
 * @module
 */

import {stretch} from './grey.js';

// The numbers of contrast.py.
const TAIL = 0.01;
const FAR = 0.5;
const STEP = 1 / 16;
const THIN = 2e-4;
const LEFT = 0.25;
const NARROW = 64;
const FEWEST_LEVELS = 33;
const A_LEVEL = 0.001;
const LEAST_INFORMATION = 2.6;

/**
 * Brightens grey levels that fill less than a quarter of the range.
 * @param {import('./grey.js').Grey} image Grey pixels.
 * @returns {import('./grey.js').Grey} The same, or brightened by a power of two.
 */
export function widen(image) {
  const [low, high] = robustEnds(image.data);
  if (!(high > low && high - low < NARROW)) return image;
  const black = low > high - low ? low : 0;
  const gain = 2 ** Math.floor(Math.log2(256 / (high - black + 1)));
  if (gain === 1) return image;
  const table = Uint8Array.from({length: 256}, (_, level) =>
    Math.min(255, Math.max(0, (level - black) * gain + gain / 2)),
  );
  return {...image, data: image.data.map((level) => table[level])};
}

/**
 * Stretches numbers of any depth between robust ends: a few pixels far from all
 * others, hot ones or a marker, do not own the range.
 * @param {ArrayLike<number>} values Numbers, of one channel or of several.
 * @returns {Uint8Array} One grey level per number.
 */
export function stretchWithinEnds(values) {
  const [low, high] = withoutLone(values, ...robustEnds(values));
  return stretch(Float64Array.from(values, (x) => Math.min(high, Math.max(low, x))));
}

/** The ends of the range without one value at either that lies far from the rest. */
function withoutLone(values, low, high) {
  const countOf = (end) => values.reduce((sum, x) => sum + Number(x === end), 0);
  if (Math.max(countOf(low), countOf(high)) <= TAIL * values.length) return [low, high];
  const inner = values.filter((x) => x > low && x < high);
  const isPicture = inner.length >= LEFT * values.length &&
    new Set(inner).size >= FEWEST_LEVELS;
  if (!isPicture) return [low, high];
  const [below, above] = robustEnds(inner);
  const far = FAR * (above - below);
  return [below - low > far ? below : low, high - above > far ? above : high];
}

/**
 * Tells a picture whose shades are gone.
 * @param {Uint8Array} data Grey pixels at the picture's own size.
 * @returns {boolean} Whether too few are left.
 */
export function hasFewGreys(data) {
  const shares = Array.from(countLevels(data), (count) => count / data.length);
  const held = shares.filter((share) => share > 0);
  const bits = held.reduce((sum, share) => sum - share * Math.log2(share), 0);
  const least = A_LEVEL * (1 - Math.max(...shares));
  const levels = shares.filter((share) => share >= least).length;
  return levels < FEWEST_LEVELS || 2 ** bits < LEAST_INFORMATION;
}

function countLevels(data) {
  const counts = new Uint32Array(256);
  for (let i = 0; i < data.length; i++) counts[data[i]]++;
  return counts;
}

/** Lowest and highest value, without tails that lie far from all others. */
function robustEnds(values) {
  const size = values.length;
  const counts = tally(values);
  const tail = Math.floor(TAIL * size) + 1;
  const upwards = [...counts.keys()].sort((a, b) => a - b);
  const below = endOf(counts, upwards, tail);
  const above = endOf(counts, upwards.toReversed(), tail);
  const span = above.inner - below.inner;
  if (!(span > 0 && span < Infinity)) return [upwards[0], upwards.at(-1)];
  return [reach(below, span, size), reach(above, span, size)];
}

/** How often each value occurs. */
function tally(values) {
  if (values instanceof Uint8Array) {
    return new Map([...countLevels(values).entries()].filter(([, count]) => count));
  }
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

/** The outermost `tail` pixels of one end: their levels, and the innermost one. */
function endOf(counts, levels, tail) {
  const found = new Map();
  let left = tail;
  for (const level of levels) {
    found.set(level, Math.min(left, counts.get(level)));
    left -= counts.get(level);
    if (left <= 0) return {levels: found, inner: level};
  }
  return {levels: found, inner: levels.at(-1)};
}

/** The outermost level before the tail thins out. */
function reach({levels, inner}, span, size) {
  const away = [...levels.keys()].map((level) => Math.abs(inner - level) / span);
  let most = Math.max(...away);
  if (most > FAR) {
    const bins = [];
    [...levels.values()].forEach((count, i) => {
      const bin = Math.floor(Math.min(away[i], 2) / STEP);
      bins[bin] = (bins[bin] ?? 0) + count;
    });
    const thin = Array.from(bins, (count) => count ?? 0).findIndex(
      (count) => count < THIN * size,
    );
    if (thin >= 0) most = thin * STEP;
  }
  return [...levels.keys()].find((_, i) => away[i] <= most);
}
