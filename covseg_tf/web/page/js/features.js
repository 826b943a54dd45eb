/**
 * What the guard's classifier reads of a picture; see `view_features` in Python.
 * @module
 */

import {resize} from './resize.js';

/** Side of the picture that is looked at. */
export const SIDE = 64;
/** Side of its coarse copy. */
export const COARSE = 16;
const CELLS = 8;
const ORIENTATIONS = 8;
const FEWEST_LEVELS = 8;
// OpenCV's polynomial for the arc tangent, in degrees.
const ARC = [57.283627, -18.667446, 8.914000, -2.5397246];

/**
 * Shrinks a picture to what is looked at.
 * @param {import('./grey.js').Grey} image Any picture.
 * @returns {import('./grey.js').Grey} 64 x 64 pixels.
 */
export function shrink(image) {
  return resize(image, SIDE, SIDE);
}

/**
 * The features of a picture.
 * @param {import('./grey.js').Grey} small From `shrink`.
 * @returns {?Float64Array} Features, or `null` for a blank picture.
 */
export function pictureFeatures(small) {
  const picture = spread(small.data);
  if (!picture) return null;
  const levels = new Float64Array(8);
  picture.forEach((x) => (levels[Math.floor(x * 7.999)] += 1 / picture.length));
  const contrast = deviation(picture) + 1e-3;
  const detail = [1, 4].map((radius) => {
    const soft = blur(picture, radius);
    return deviation(picture.map((x, i) => x - soft[i])) / contrast;
  });
  return Float64Array.of(...coarse(picture), ...gradients(picture), ...levels, ...detail);
}

/**
 * The features of the picture after quarter turns against the clock.
 * @param {Float64Array} features Of the picture as it is.
 * @param {number} turns 1 to 3.
 * @returns {Float64Array} Features.
 */
export function turnedFeatures(features, turns) {
  const cut = COARSE ** 2;
  const out = features.slice();
  const shift = (2 * turns) % ORIENTATIONS;
  turnSquare(COARSE, turns, (to, from) => (out[to] = features[from]));
  turnSquare(CELLS, turns, (to, from) => {
    for (let bin = 0; bin < ORIENTATIONS; bin++) {
      const source = from * ORIENTATIONS + ((bin + shift) % ORIENTATIONS);
      out[cut + to * ORIENTATIONS + bin] = features[cut + source];
    }
  });
  return out;
}

function turnSquare(side, turns, put) {
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      let [y, x] = [row, column];
      for (let turn = 0; turn < turns; turn++) [y, x] = [x, side - 1 - y];
      put(row * side + column, y * side + x);
    }
  }
}

/** From the darkest to the brightest hundredth as 0 to 1. */
function spread(data) {
  const counts = new Uint32Array(256);
  data.forEach((x) => counts[x]++);
  const [low, high] = [0.01, 0.99].map((share) => {
    let [level, below] = [0, counts[0]];
    while (below < share * data.length) below += counts[++level];
    return level;
  });
  if (high - low < FEWEST_LEVELS) return null;
  const scale = Math.fround(1 / (high - low));
  return Float32Array.from(data, (x) => Math.min(Math.max((x - low) * scale, 0), 1));
}

function coarse(picture) {
  const step = SIDE / COARSE;
  const out = new Float64Array(COARSE ** 2);
  picture.forEach((x, i) => {
    const row = Math.floor(i / SIDE / step);
    out[row * COARSE + Math.floor((i % SIDE) / step)] += x / step ** 2;
  });
  const [middle, width] = [mean(out), deviation(out) + 1e-3];
  return out.map((x) => (x - middle) / width);
}

function gradients(picture) {
  const smooth = blur(picture, 0.8);
  const sums = new Float64Array(CELLS ** 2 * ORIENTATIONS);
  const at = (y, x) => smooth[mirrored(y) * SIDE + mirrored(x)];
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const across = (row) => at(row, x + 1) - at(row, x - 1);
      const down = (column) => at(y + 1, column) - at(y - 1, column);
      const dx = across(y - 1) + 2 * across(y) + across(y + 1);
      const dy = down(x - 1) + 2 * down(x) + down(x + 1);
      const bin = Math.floor((arc(dy, dx) * ORIENTATIONS) / 360) % ORIENTATIONS;
      const cell = Math.floor((y * CELLS) / SIDE) * CELLS + Math.floor((x * CELLS) / SIDE);
      sums[cell * ORIENTATIONS + bin] += Math.hypot(dx, dy);
    }
  }
  return normalized(sums);
}

function normalized(sums) {
  const norms = Float64Array.from({length: CELLS ** 2}, (_, cell) =>
    Math.hypot(...sums.subarray(cell * ORIENTATIONS, (cell + 1) * ORIENTATIONS)));
  // A flat cell stays small: its directions are noise.
  const floor = 0.3 * mean(norms) + 1e-3;
  return sums.map((x, i) =>
    Math.sqrt(x / (norms[Math.floor(i / ORIENTATIONS)] + floor)));
}

/** Degrees in [0, 360), by OpenCV's approximation: it decides near a bin's border. */
function arc(dy, dx) {
  const [long, short] = [Math.abs(dx), Math.abs(dy)].sort((a, b) => b - a);
  const ratio = short / (long + 2.220446e-16);
  const square = ratio * ratio;
  const [p1, p3, p5, p7] = ARC;
  let angle = (((p7 * square + p5) * square + p3) * square + p1) * ratio;
  if (Math.abs(dx) < Math.abs(dy)) angle = 90 - angle;
  if (dx < 0) angle = 180 - angle;
  return dy < 0 ? 360 - angle : angle;
}

/** Gaussian blur; the picture goes on mirrored past its edge. */
function blur(picture, sigma) {
  const radius = (Math.round(sigma * 8 + 1) | 1) >> 1;
  const kernel = Float64Array.from({length: 2 * radius + 1}, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma * sigma)));
  const sum = kernel.reduce((a, b) => a + b);
  const pass = (source, index) => picture.map((_, i) => {
    const [row, column] = [Math.floor(i / SIDE), i % SIDE];
    return kernel.reduce(
      (total, weight, k) => total + (weight / sum) * source[index(row, column, k - radius)],
      0);
  });
  const across = pass(picture, (row, column, k) => row * SIDE + mirrored(column + k));
  return pass(across, (row, column, k) => mirrored(row + k) * SIDE + column);
}

function mirrored(place) {
  if (place < 0) return -place;
  return place < SIDE ? place : 2 * SIDE - 2 - place;
}

function mean(values) {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

function deviation(values) {
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, x) => sum + (x - middle) ** 2, 0) / values.length);
}
