/**
 * What a DICOM header says of how its numbers are looked at, for `window.js`.
 * @module
 */

import {plainPixels} from './layout.js';

// Those of the standard; not `0x10`, `Infinity` or a decimal comma.
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * Reads rescaling, tables, windows, padding.
 * @param {object} dataset From dicom-parser.
 * @param {import('./layout.js').Layout} layout How the numbers lie.
 * @returns {import('./window.js').Display} What the header says.
 */
export function readDisplay(dataset, layout) {
  const modality = itemsOf(dataset, 'x00283000').slice(0, 1);
  const [modalityTable = null] = modality.map((item) => readTable(item, layout.isBig));
  return {
    slope: readOne(dataset, 'x00281053'),
    intercept: readOne(dataset, 'x00281052'),
    modalityTable,
    modalityDamaged: modality.length > 0 && !modalityTable,
    voiTables: itemsOf(dataset, 'x00283010').map((x) => readTable(x, layout.isBig)),
    windows: readWindows(dataset),
    shape: textOf(dataset, 'x00281056').toUpperCase(),
    padding: readPadding(dataset, layout),
    inverted: textOf(dataset, 'x00280004').toUpperCase().replace(/\s/g, '') ===
      'MONOCHROME1',
  };
}

function textOf(dataset, tag) {
  return (dataset.string(tag) ?? '').trim();
}

/**
 * Reads decimal strings.
 * @param {object} dataset From dicom-parser.
 * @param {string} tag Of the element.
 * @returns {number[]} At least one; NaN for each that means nothing.
 */
export function readNumbers(dataset, tag) {
  return textOf(dataset, tag).split('\\').map((text) => {
    const bare = text.trim();
    return NUMBER.test(bare) ? Number(bare) : NaN;
  });
}

function readOne(dataset, tag) {
  if (!dataset.elements[tag]) return null;
  const numbers = readNumbers(dataset, tag);
  return numbers.length === 1 ? numbers[0] : NaN;
}

function readWindows(dataset) {
  const tags = ['x00281050', 'x00281051'];
  if (!tags.every((tag) => textOf(dataset, tag))) return [];
  const [centers, widths] = tags.map((tag) => readNumbers(dataset, tag));
  return centers.map((center, i) => [center, widths[i] ?? NaN]);
}

function itemsOf(dataset, tag) {
  return (dataset.elements[tag]?.items ?? []).map((item) => item.dataSet);
}

/** Ends of what is no film, of the pixels' own sign whatever the header's. */
function readPadding(dataset, {bits, signed}) {
  if (bits === 8) return null;
  const ends = ['x00280120', 'x00280121'].map((tag) => {
    const value = dataset.uint16(tag);
    return signed && value >= 2 ** 15 ? value - 2 ** 16 : value;
  });
  if (ends[0] === undefined) return null;
  ends[1] ??= ends[0];
  return [Math.min(...ends), Math.max(...ends)];
}

/** A table, or `null` if it is cut short or says nothing. */
function readTable(item, isBig) {
  const [stated, held] = [item?.elements.x00283002, item?.elements.x00283006];
  if (!held || !(stated?.length >= 4)) return null;
  const count = item.uint16('x00283002', 0) || 65536;
  const depth = stated.length >= 6 ? item.uint16('x00283002', 2) : 0;
  // Of 8 bits they lie in as many bytes, or in words.
  const bits = depth === 8 && held.length < 2 * count ? 8 : 16;
  if (held.length < count * (bits / 8)) return null;
  const layout = {bits, signed: false, isBig};
  const data = plainPixels(item.byteArray, held.dataOffset, count, layout);
  return {first: item.uint16('x00283002', 1), data};
}
