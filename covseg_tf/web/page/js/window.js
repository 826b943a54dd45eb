/**
 * A DICOM radiograph's numbers to grey levels, as `covseg_tf/imaging/dicom/grey.py` does.
 * @module
 */

import {roundHalfEven, stretch} from './grey.js';

/**
 * A table of the file, of the modality or of interest.
 * @typedef {{first: number, bits: number, data: ArrayLike<number>}} Table
 */

/**
 * What a radiograph says about its numbers.
 * @typedef {object} Display
 * @property {number} bitsStored Bits in use.
 * @property {boolean} signed Whether the numbers may be negative.
 * @property {?number} slope Of the modality's rescaling, with `intercept`.
 * @property {?number} intercept Of the modality's rescaling.
 * @property {?number} center Of the first window, with `width`.
 * @property {?number} width Of the first window.
 * @property {string} shape `LINEAR`, `LINEAR_EXACT` or `SIGMOID`.
 * @property {?Table} modalityTable In place of slope and intercept.
 * @property {?Table} voiTable In place of the window.
 * @property {boolean} inverted Whether low numbers are bright.
 */

/**
 * Applies rescaling or table, window or table, and inversion.
 * @param {Uint8Array|Int8Array|Uint16Array|Int16Array} pixels As stored.
 * @param {Display} display What the file says about them.
 * @returns {{data: Uint8Array, stretched: boolean}} Grey levels, lungs dark;
 *   `stretched` if there was no window for more than 8 bits.
 * @throws {Error} If the window cannot be applied.
 */
export function toGrey(pixels, display) {
  const values = rescale(pixels, display);
  const {data, stretched} = display.voiTable
    ? {data: throughTable(values, display.voiTable), stretched: false}
    : throughWindow(values, pixels, display);
  if (display.inverted) data.forEach((x, i) => (data[i] = 255 - x));
  return {data, stretched};
}

function rescale(pixels, {modalityTable, slope, intercept}) {
  if (modalityTable) return pixels.map((x) => entry(modalityTable, x));
  if (slope === null || intercept === null) return pixels;
  const values = Float64Array.from(pixels, (x) => x * slope + intercept);
  // A slope of 1 makes floats of 8-bit pixels, which are to stay as they are.
  return values.every((x, i) => x === pixels[i]) ? pixels : values;
}

function throughTable(values, table) {
  const high = 2 ** table.bits - 1;
  return Uint8Array.from(values, (x) =>
    level(entry(table, roundHalfEven(x)), 0, high));
}

function throughWindow(values, pixels, display) {
  const {center, width} = display;
  if (center === null || width === null) {
    const isByte = values === pixels && pixels instanceof Uint8Array;
    if (isByte) return {data: values.slice(), stretched: false};
    return {data: stretch(values), stretched: true};
  }
  const apply = windowOf(display);
  const [low, high] = [center - 100 * width, center + 100 * width].map(apply);
  if (low === high) throw new Error('Its window has no width.');
  if (!Number.isFinite(high - low)) throw new Error('Its window is not finite.');
  const data = Uint8Array.from(values, (x) => level(apply(x), low, high));
  return {data, stretched: false};
}

function level(shown, low, high) {
  const grey = (shown - low) * (255 / (high - low));
  return roundHalfEven(Math.min(255, Math.max(0, grey)));
}

function entry({first, data}, value) {
  return data[Math.min(Math.max(value - first, 0), data.length - 1)];
}

/** PS3.3 C.11.2.1, in the order of pydicom's operations. */
function windowOf(display) {
  const {shape} = display;
  let {center, width} = display;
  const [low, high] = outputRange(display);
  const range = high - low;
  if (shape === 'SIGMOID' && width > 0) {
    return (x) => range / (1 + Math.exp((-4 * (x - center)) / width)) + low;
  }
  if (shape === 'LINEAR' && width >= 1) {
    [center, width] = [center - 0.5, width - 1];
  } else if (shape !== 'LINEAR_EXACT' || !(width > 0)) {
    throw new Error('Its window cannot be applied.');
  }
  return (x) => {
    if (x <= center - width / 2) return low;
    if (x > center + width / 2) return high;
    return ((x - center) / width + 0.5) * range + low;
  };
}

function outputRange({modalityTable, signed, bitsStored, slope, intercept}) {
  let low = 0;
  let high = 2 ** bitsStored - 1;
  if (modalityTable) high = 2 ** modalityTable.bits - 1;
  else if (signed) [low, high] = [-(2 ** (bitsStored - 1)), 2 ** (bitsStored - 1) - 1];
  if (slope === null || intercept === null) return [low, high];
  return [low * slope + intercept, high * slope + intercept];
}
