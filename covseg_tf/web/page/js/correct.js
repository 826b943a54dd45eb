/**
 * Undoes what viewers, scanners and slides do to a film, as
 * `covseg_tf.imaging.correct`: wide frames, swapped greys.
 * @module
 */

import {resize} from './resize.js';

// The numbers of correct_film.py, frame.py, negative.py and photograph.py.
const LEAST_FRAMED = 0.3;
const FLAT = 10;
const FROM_END = 12;
const LEAST_FRAME = 4;
const EDGE = 0.2;
const BLUR = 8;
const LEAST_LEFT = 0.3;
const INVERTED = -0.2;
const SIDE = 32;
const TINT = [2, 80];
const TINTED = 0.3;
const SAMPLES = 128;
const LEAST_SIDE = 64;

/**
 * A film without a wide frame and with dark lungs.
 * @param {import('./grey.js').Grey & {notes?: string[]}} film Any radiograph.
 * @param {number[]} chest The mean of drawn chests, 32 x 32, of length 1.
 * @returns {import('./grey.js').Grey & {notes: string[]}} A doubtful one as it is, and
 *   what was done.
 */
export function correctFilm(film, chest) {
  const notes = [...(film.notes ?? [])];
  // What the header calls padding is none of the film, however narrow; it is black.
  const isPadded = notes.includes('padding_left_out');
  const whole = isPadded ? cut(film, withinBlack(film)) : film;
  const inside = cut(whole, findFrame(whole));
  let {rows, columns, data} = whole;
  if (inside.data.length <= (1 - LEAST_FRAMED) * data.length) {
    ({rows, columns, data} = inside);
    notes.push('borders_cropped');
  }
  if (looksInverted(inside, chest)) {
    data = data.map((level) => 255 - level);
    notes.push('inverted');
  }
  return {rows, columns, data, notes};
}

/**
 * What lies within a flat frame.
 * @param {import('./grey.js').Grey} film Any picture.
 * @returns {number[]} Top, left, bottom, right.
 */
export function findFrame(film) {
  let [top, left, bottom, right] = [0, 0, film.rows, film.columns];
  // Twice: a frame's upper part is only flat, and its edge only sharp, within the
  // columns of the picture.
  for (let turn = 0; turn < 2; turn++) {
    const rows = flatEnds(linesOf(film, [top, left, bottom, right], false));
    [top, bottom] = [top + rows[0], bottom - rows[1]];
    const columns = flatEnds(linesOf(film, [top, left, bottom, right], true));
    [left, right] = [left + columns[0], right - columns[1]];
  }
  const isLeft = bottom - top >= LEAST_LEFT * film.rows &&
    right - left >= LEAST_LEFT * film.columns;
  return isLeft ? [top, left, bottom, right] : [0, 0, film.rows, film.columns];
}

/** A box's rows, or its columns: how many, how long, and each level. */
function linesOf({columns, data}, [top, left, bottom, right], isTurned) {
  const [tall, wide] = [bottom - top, right - left];
  const at = isTurned
    ? (line, i) => data[(top + i) * columns + left + line]
    : (line, i) => data[(top + line) * columns + left + i];
  return isTurned ? {count: wide, length: tall, at} : {count: tall, length: wide, at};
}

/** How many lines to cut at the start and at the end. */
function flatEnds({count, length, at}) {
  if (count < 2 * LEAST_FRAME || length < 2 * LEAST_FRAME) return [0, 0];
  const low = new Uint8Array(count).fill(255);
  const high = new Uint8Array(count);
  for (let line = 0; line < count; line++) {
    for (let i = 0; i < length; i++) {
      const level = at(line, i);
      if (level < low[line]) low[line] = level;
      if (level > high[line]) high[line] = level;
    }
  }
  const from = (place) => flatRun({
    count, length, at: (line, i) => at(place(line), i),
    low: (line) => low[place(line)], high: (line) => high[place(line)],
  });
  return [from((line) => line), from((line) => count - 1 - line)];
}

function flatRun({count, length, at, low, high}) {
  const isBlack = (line) => high(line) <= FROM_END;
  const isWhite = (line) => low(line) >= 255 - FROM_END;
  const isEnd = isBlack(0) ? isBlack : isWhite;
  const isFlat = (line) => isEnd(line) && high(line) - low(line) <= FLAT;
  let flat = 0;
  while (flat < count && isFlat(flat)) flat += 1;
  if (flat < LEAST_FRAME || flat === count) return 0;
  // An interpolated edge is a line or two of half tones; JPEG blurs one of 8.
  const frame = at(0, 0);
  for (let line = flat + 2; line < Math.min(count, flat + 2 + BLUR); line++) {
    let leaves = 0;
    for (let i = 0; i < length; i++) {
      leaves += Number(Math.abs(at(line, i) - frame) > 3 * FLAT);
    }
    if (leaves / length >= EDGE) return flat;
  }
  return 0;
}

/** What lies between bands on opposite sides; a band on one side took film away. */
function withinBlack({rows, columns, data}) {
  let [top, left, bottom, right] = [rows, columns, 0, 0];
  data.forEach((level, i) => {
    if (level === 0) return;
    const [row, column] = [Math.floor(i / columns), i % columns];
    [top, bottom] = [Math.min(top, row), Math.max(bottom, row + 1)];
    [left, right] = [Math.min(left, column), Math.max(right, column + 1)];
  });
  if (!(top > 0 && bottom > 0 && bottom < rows)) [top, bottom] = [0, rows];
  if (!(left > 0 && right > 0 && right < columns)) [left, right] = [0, columns];
  return [top, left, bottom, right];
}

function cut({columns, data}, [top, left, bottom, right]) {
  const out = new Uint8Array((bottom - top) * (right - left));
  for (let row = top; row < bottom; row++) {
    const line = data.subarray(row * columns + left, row * columns + right);
    out.set(line, (row - top) * (right - left));
  }
  return {rows: bottom - top, columns: right - left, data: out};
}

/**
 * Tells a chest film whose lungs are bright.
 * @param {import('./grey.js').Grey} film A picture without a frame.
 * @param {number[]} chest As in `correctFilm`.
 * @returns {boolean} Whether it is one.
 */
export function looksInverted(film, chest) {
  const {data} = resize(film, SIDE, SIDE);
  const mean = data.reduce((sum, level) => sum + level, 0) / data.length;
  const small = Float64Array.from(data, (level) => level - mean);
  const spread = Math.sqrt(small.reduce((sum, x) => sum + x * x, 0));
  if (spread < SIDE) return false; // one grey level of deviation: an empty picture
  const product = small.reduce((sum, x, i) => sum + x * chest[i], 0);
  return product / spread < INVERTED;
}

/**
 * Tells a picture that has some colour all over, as a camera's has.
 * @param {ArrayLike<number>} pixels Red, green, blue, alpha in turn.
 * @param {number} rows Its height.
 * @param {number} columns Its width.
 * @returns {boolean} Whether it is one.
 */
export function isCameraPicture(pixels, rows, columns) {
  if (Math.min(rows, columns) < LEAST_SIDE) return false;
  const [down, across] = [rows, columns].map(
    (side) => Math.max(1, Math.floor(side / SAMPLES)));
  const apart = [];
  for (let row = 0; row < rows; row += down) {
    for (let column = 0; column < columns; column += across) {
      const at = 4 * (row * columns + column);
      const [red, green, blue] = [pixels[at], pixels[at + 1], pixels[at + 2]];
      apart.push(Math.max(red, green, blue) - Math.min(red, green, blue));
    }
  }
  apart.sort((a, b) => a - b);
  const middle = apart.length >> 1;
  const median = (apart[middle] + apart[(apart.length - 1) >> 1]) / 2;
  const tinted = apart.filter((level) => level >= TINT[0]).length / apart.length;
  return tinted > TINTED && median <= TINT[1];
}
