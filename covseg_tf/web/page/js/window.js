/**
 * A DICOM radiograph's numbers to grey levels, as `covseg_tf/imaging/dicom/grey.py` does.
 * @module
 */

import {stretchWithinEnds, widen} from './contrast.js';
import {roundHalfEven} from './grey.js';

const FUNCTIONS = ['LINEAR', 'LINEAR_EXACT', 'SIGMOID'];

/**
 * A table of the file, of the modality or of interest.
 * @typedef {{first: number, bits: number, data: ArrayLike<number>}} Table
 */

/**
 * What a radiograph says about its numbers; NaN for a number that means nothing.
 * @typedef {object} Display
 * @property {number} bitsStored Bits in use.
 * @property {boolean} signed Whether the numbers may be negative.
 * @property {?number} slope Of the modality's rescaling, with `intercept`; `null` if
 *   the file has none.
 * @property {?number} intercept Of the modality's rescaling.
 * @property {?Table} modalityTable In place of slope and intercept.
 * @property {boolean} modalityDamaged Whether there was one that is cut short.
 * @property {?Table[]} voiTables Tables of interest; `null` for one cut short.
 * @property {[number, number][]} windows Center and width of each.
 * @property {string} shape `LINEAR`, `LINEAR_EXACT` or `SIGMOID`.
 * @property {?[number, number]} padding Lowest and highest value that is no film.
 * @property {boolean} inverted Whether low numbers are bright.
 */

/**
 * Rescaling or table; the first table of interest or window that can be used; inversion.
 * @param {Uint8Array|Int8Array|Uint16Array|Int16Array} pixels As stored.
 * @param {Display} display What the file says about them.
 * @returns {{data: Uint8Array, notes: string[]}} Grey levels, lungs dark, and what was
 *   done: keys of `NOTE_TEXTS`.
 */
export function toGrey(pixels, display) {
  const notes = new Set();
  const mended = mendRescale(display, notes);
  const values = rescale(pixels, mended);
  let data = null;
  for (const rule of rulesOf(mended)) {
    data = applied(rule, values);
    if (data) break;
    notes.add('window_unusable');
  }
  const isPadded = paddedBy(mended.padding, pixels);
  data ??= withoutRule(values, pixels, isPadded, mended, notes);
  const wide = widen({data}).data;
  if (wide !== data) notes.add('stretched');
  data = mended.inverted ? wide.map((x) => 255 - x) : wide;
  if (isPadded) {
    notes.add('padding_left_out');
    data = data.map((x, i) => (isPadded(pixels[i]) ? 0 : x)); // a window may show it
  }
  return {data, notes: [...notes]};
}

function mendRescale(display, notes) {
  let {slope, intercept} = display;
  const means = (x) => x !== null && Number.isFinite(x);
  const held = slope !== null || intercept !== null;
  const isOdd = [slope, intercept].some((x) => x !== null && !means(x));
  if (isOdd || slope === 0 || display.modalityDamaged) {
    notes.add('rescale_unusable');
  }
  if (held) {
    slope = means(slope) && slope !== 0 ? slope : 1;
    intercept = means(intercept) ? intercept : 0;
  }
  return {...display, slope, intercept};
}

function rescale(pixels, {modalityTable, slope, intercept}) {
  if (modalityTable) return Float64Array.from(pixels, (x) => entry(modalityTable, x));
  if (slope === null || intercept === null) return pixels;
  const values = Float64Array.from(pixels, (x) => x * slope + intercept);
  // A slope of 1 makes floats of 8-bit pixels, which are to stay as they are.
  return values.every((x, i) => x === pixels[i]) ? pixels : values;
}

/** What the header offers, each a function to `[shown, low, high]`. */
function rulesOf(display) {
  const throughTable = (table) => () => {
    // Some state the depth of their storage, 16, and hold 12 bits.
    const most = table.data.reduce((a, b) => Math.max(a, b), 0);
    const bits = Math.min(table.bits, most.toString(2).length);
    return [(x) => entry(table, roundHalfEven(x)), 0, 2 ** bits - 1];
  };
  const throughWindow = ([center, width]) => () => {
    const apply = windowOf({...display, center, width});
    return [apply, apply(center - 100 * width), apply(center + 100 * width)];
  };
  return [
    ...display.voiTables.map(throughTable),
    ...display.windows.map(throughWindow),
  ];
}

/** Grey levels by one rule, or `null` if it cannot be used. */
function applied(rule, values) {
  let [shown, low, high] = [null, 0, 0];
  try {
    [shown, low, high] = rule();
  } catch {
    return null;
  }
  const scale = 255 / (high - low);
  const grey = Float64Array.from(values, (x) => (shown(x) - low) * scale);
  if (!Number.isFinite(scale) || grey.some(Number.isNaN)) return null;
  return Uint8Array.from(grey, (x) => roundHalfEven(Math.min(255, Math.max(0, x))));
}

function withoutRule(values, pixels, isPadded, {inverted}, notes) {
  if (values instanceof Uint8Array) return values.slice();
  notes.add('stretched');
  if (!isPadded) return stretchWithinEnds(values);
  const held = values.filter((_, i) => !isPadded(pixels[i]));
  const extreme = inverted ? Math.max : Math.min;
  const black = held.reduce((a, b) => extreme(a, b));
  return stretchWithinEnds(values.map((x, i) => (isPadded(pixels[i]) ? black : x)));
}

/** Tells a value that is no film; `null` if no pixel, or every one, has such. */
function paddedBy(padding, pixels) {
  if (!padding || pixels.BYTES_PER_ELEMENT === 1) return null;
  const isPadded = (x) => x >= padding[0] && x <= padding[1];
  return pixels.some(isPadded) && !pixels.every(isPadded) ? isPadded : null;
}

function entry({first, data}, value) {
  return data[Math.min(Math.max(value - first, 0), data.length - 1)];
}

/** PS3.3 C.11.2.1, in the order of pydicom's operations. */
function windowOf(display) {
  const shape = FUNCTIONS.includes(display.shape) ? display.shape : FUNCTIONS[0];
  let {center, width} = display;
  const [low, high] = outputRange(display);
  const range = high - low;
  if (shape === 'SIGMOID' && width > 0) {
    return (x) => range / (1 + Math.exp((-4 * (x - center)) / width)) + low;
  }
  if (shape === 'LINEAR' && width >= 1) {
    [center, width] = [center - 0.5, width - 1];
  } else if (shape === 'LINEAR' || !(width > 0)) {
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
