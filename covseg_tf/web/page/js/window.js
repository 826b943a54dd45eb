/**
 * A DICOM radiograph's numbers to grey levels, as `covseg_tf/imaging/dicom/grey.py` does.
 * @module
 */

import {stretchWithinEnds, widen} from './contrast.js';
import {roundHalfEven} from './grey.js';

/**
 * A table of the file, of the modality or of interest.
 * @typedef {{first: number, data: ArrayLike<number>}} Table
 */

/**
 * What a radiograph says about its numbers; NaN for a number that means nothing.
 * @typedef {object} Display
 * @property {?number} slope Of the modality's rescaling, with `intercept`; `null` if
 *   the file has none.
 * @property {?number} intercept Of the modality's rescaling.
 * @property {?Table} modalityTable In place of slope and intercept.
 * @property {boolean} modalityDamaged Whether there was one that is cut short.
 * @property {?Table[]} voiTables Tables of interest; `null` for one cut short.
 * @property {[number, number][]} windows Center and width of each.
 * @property {string} shape `LINEAR_EXACT` or `SIGMOID`; any other is linear.
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
  const values = rescale(pixels, mended, notes);
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

function rescale(pixels, {modalityTable, slope, intercept}, notes) {
  if (modalityTable) {
    const show = through(modalityTable, pixels);
    const Kind = bitsOf(modalityTable) <= 8 ? Uint8Array : Uint16Array;
    return Kind.from(pixels, show);
  }
  if (slope === null || intercept === null) return pixels;
  const values = Float64Array.from(pixels, (x) => x * slope + intercept);
  if (!values.every(Number.isFinite)) {
    notes.add('rescale_unusable');
    return pixels;
  }
  // A slope of 1 makes floats of 8-bit pixels, which are to stay as they are.
  return values.every((x, i) => x === pixels[i]) ? pixels : values;
}

/** What the header offers, each a function of all values to one of a value. */
function rulesOf({voiTables, windows, shape}) {
  const throughTable = (table) => (values) => {
    if (!table) return null;
    const whole = values.map(roundHalfEven);
    const [show, most] = [through(table, whole), 2 ** bitsOf(table) - 1];
    return (x) => show(roundHalfEven(x)) / most;
  };
  return [
    ...voiTables.map(throughTable),
    ...windows.map((window) => () => windowOf(...window, shape)),
  ];
}

/** Grey levels by one rule, or `null` if it cannot be used or leaves nothing. */
function applied(rule, values) {
  const show = rule(values);
  if (!show) return null;
  const shares = Float64Array.from(values, (x) => show(x));
  if (!shares.every(Number.isFinite)) return null;
  const grey = Uint8Array.from(shares, (x) => roundHalfEven(x * 255));
  const isFlat = grey.every((x) => x === grey[0]);
  return isFlat && values.some((x) => x !== values[0]) ? null : grey;
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

/** Some tables state the depth of their storage, 16, and hold 12 bits. */
function bitsOf({data}) {
  const most = data.reduce((a, b) => Math.max(a, b), 0);
  return most ? most.toString(2).length : 0;
}

/** Where no value comes near a first one of 32,768 and more, it is negative. */
function through({first, data}, values) {
  const most = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const begin = first >= 2 ** 15 && most <= first ? first - 2 ** 16 : first;
  return (x) => data[Math.min(Math.max(x - begin, 0), data.length - 1)];
}

/** PS3.3, C.11.2.1.2 and C.11.2.1.3; `null` for a window that shows nothing. */
function windowOf(center, width, shape) {
  if (shape === 'SIGMOID' && width > 0) {
    return (x) => 1 / (1 + Math.exp((-4 * (x - center)) / width));
  }
  const isExact = shape === 'LINEAR_EXACT';
  const [middle, reach] = isExact ? [center, width] : [center - 0.5, width - 1];
  if (reach === 0 && !isExact) return (x) => Number(x > middle);
  if (!(reach > 0) || Number.isNaN(middle)) return null;
  return (x) => Math.min(1, Math.max(0, (x - middle) / reach + 0.5));
}
