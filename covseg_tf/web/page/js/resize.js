/**
 * OpenCV's resize of grey 8-bit images, bit for bit.
 *
 * Written from the description of `cv2.resize` and held to it by the vectors in
 * `tests/web/pixel_vectors.json`, which Python asserts too.
 * @module
 */

import {roundHalfEven} from './grey.js';

const round32 = Math.fround;

/**
 * Stretches as `PreprocessingSpec.resize` does: area averaging when both sides
 * shrink, bilinear otherwise.
 * @param {import('./grey.js').Grey} image Source.
 * @param {number} rows Wanted height.
 * @param {number} columns Wanted width.
 * @returns {import('./grey.js').Grey} The stretched image.
 */
export function resize(image, rows, columns) {
  if (image.rows === rows && image.columns === columns) return image;
  const shrinks = image.rows >= rows && image.columns >= columns;
  return (shrinks ? resizeArea : resizeLinear)(image, rows, columns);
}

/**
 * `cv2.INTER_AREA` where neither side grows.
 * @param {import('./grey.js').Grey} image Source.
 * @param {number} rows Wanted height, at most the source's.
 * @param {number} columns Wanted width, at most the source's.
 * @returns {import('./grey.js').Grey} The averaged image.
 */
export function resizeArea(image, rows, columns) {
  const tall = image.rows / rows;
  const wide = image.columns / columns;
  const whole = Number.isInteger(tall) && Number.isInteger(wide);
  const data = whole
    ? averageBlocks(image, rows, columns, tall, wide)
    : averageParts(image, rows, columns);
  return {rows, columns, data};
}

/**
 * `cv2.INTER_LINEAR`.
 * @param {import('./grey.js').Grey} image Source.
 * @param {number} rows Wanted height.
 * @param {number} columns Wanted width.
 * @returns {import('./grey.js').Grey} The interpolated image.
 */
export function resizeLinear(image, rows, columns) {
  // OpenCV does so too: halving both sides by interpolation is averaging.
  if (image.rows === 2 * rows && image.columns === 2 * columns) {
    return resizeArea(image, rows, columns);
  }
  const across = linearTaps(image.columns, columns);
  const down = linearTaps(image.rows, rows);
  const data = new Uint8Array(rows * columns);
  const cache = new Map();
  for (let y = 0; y < rows; y++) {
    const top = lineAt(image, down.first[y], across, cache);
    const bottom = lineAt(image, down.second[y], across, cache);
    const [b0, b1] = [down.near[y], down.far[y]];
    for (let x = 0; x < columns; x++) {
      const sum = ((b0 * (top[x] >> 4)) >> 16) + ((b1 * (bottom[x] >> 4)) >> 16);
      data[y * columns + x] = (sum + 2) >> 2;
    }
  }
  return {rows, columns, data};
}

/** Whole blocks: the sum times the block's inverse, in float32. */
function averageBlocks(image, rows, columns, tall, wide) {
  const data = new Uint8Array(rows * columns);
  const inverse = round32(1 / (tall * wide));
  const isSquareOfTwo = tall === 2 && wide === 2;
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let row = y * tall; row < (y + 1) * tall; row++) {
        const start = row * image.columns + x * wide;
        for (let i = start; i < start + wide; i++) sum += image.data[i];
      }
      data[y * columns + x] = isSquareOfTwo
        ? (sum + 2) >> 2
        : roundHalfEven(round32(sum * inverse));
    }
  }
  return data;
}

/** Parts of pixels: weighted sums, float32 after each step as OpenCV's. */
function averageParts(image, rows, columns) {
  const across = areaTaps(image.columns, columns);
  const down = areaTaps(image.rows, rows);
  const data = new Uint8Array(rows * columns);
  const line = new Float32Array(columns);
  const sum = new Float32Array(columns);
  for (let tap = 0; tap < down.length; tap++) {
    const {source, target, weight} = down[tap];
    averageLine(image, source, across, line);
    const starts = tap === 0 || down[tap - 1].target !== target;
    for (let x = 0; x < columns; x++) {
      const part = round32(line[x] * weight);
      sum[x] = starts ? part : sum[x] + part;
    }
    if (tap + 1 === down.length || down[tap + 1].target !== target) {
      for (let x = 0; x < columns; x++) {
        data[target * columns + x] = Math.min(255, roundHalfEven(sum[x]));
      }
    }
  }
  return data;
}

function averageLine(image, row, taps, line) {
  line.fill(0);
  const start = row * image.columns;
  for (const {source, target, weight} of taps) {
    line[target] += round32(image.data[start + source] * weight);
  }
}

/** Which source pixels a target pixel covers, and how much of each. */
function areaTaps(from, to) {
  // By way of the inverse, as OpenCV: from / to may differ in the last bit.
  const scale = 1 / (to / from);
  const taps = [];
  for (let target = 0; target < to; target++) {
    const begin = target * scale;
    const end = begin + scale;
    const cell = Math.min(scale, from - begin);
    const last = Math.min(Math.floor(end), from - 1);
    const first = Math.min(Math.ceil(begin), last);
    const push = (source, share) =>
      taps.push({source, target, weight: round32(share / cell)});
    if (first - begin > 1e-3) push(first - 1, first - begin);
    for (let source = first; source < last; source++) push(source, 1);
    if (end - last > 1e-3) push(last, Math.min(Math.min(end - last, 1), cell));
  }
  return taps;
}

/** Two neighbours and their weights of 2048 in all, for each target pixel. */
function linearTaps(from, to) {
  const scale = 1 / (to / from);
  const first = new Int32Array(to);
  const second = new Int32Array(to);
  const near = new Int32Array(to);
  const far = new Int32Array(to);
  for (let target = 0; target < to; target++) {
    const place = round32((target + 0.5) * scale - 0.5);
    const below = Math.floor(place);
    const part = round32(place - below);
    near[target] = roundHalfEven(round32(round32(1 - part) * 2048));
    far[target] = roundHalfEven(round32(part * 2048));
    first[target] = Math.min(Math.max(below, 0), from - 1);
    second[target] = Math.min(Math.max(below + 1, 0), from - 1);
  }
  return {first, second, near, far};
}

/** One source row, interpolated across; the last few are kept. */
function lineAt(image, row, taps, cache) {
  if (cache.has(row)) return cache.get(row);
  const line = new Int32Array(taps.first.length);
  const start = row * image.columns;
  for (let x = 0; x < line.length; x++) {
    line[x] =
      image.data[start + taps.first[x]] * taps.near[x] +
      image.data[start + taps.second[x]] * taps.far[x];
  }
  if (cache.size > 3) cache.delete(cache.keys().next().value);
  cache.set(row, line);
  return line;
}
