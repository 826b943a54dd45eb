/**
 * How the worklist is sorted and what of it is shown.
 * @module
 */

import {noteOf} from './flags.js';
import {byName, isScored, numbersOf, urgency} from './worklist.js';

const VALUES = {
  extent: (row) => row.found?.extent.total ?? null,
  involved: (row) => numbersOf(row).total,
  right: (row) => numbersOf(row).right,
  left: (row) => numbersOf(row).left,
};

/** Columns that sort, and which way first: 1 up, -1 down. */
export const WAYS = {urgency: 1, file: 1, extent: -1, involved: -1, right: -1, left: -1};

/** Which rows each part of the worklist shows. */
export const PARTS = {
  all: () => true,
  unscored: (row) => !isScored(row),
  scored: isScored,
  flagged: (row) => !row.error && noteOf(row) !== '',
};

/**
 * What compares rows by a column. Of a column of numbers, what was not scored stays
 * first whichever way: it needs a reader.
 * @param {string} column A key of `WAYS`.
 * @param {number} way 1 for up, -1 for down.
 * @returns {(a: import('./worklist.js').Row, b: import('./worklist.js').Row) => number}
 *   Compares two rows.
 */
export function comparison(column, way) {
  if (column === 'urgency') return (a, b) => way * urgency(a, b);
  if (column === 'file') return (a, b) => way * byName(a, b) || urgency(a, b);
  const valueOf = VALUES[column];
  return (a, b) => {
    if (!isScored(a) || !isScored(b)) return urgency(a, b);
    const [one, other] = [valueOf(a), valueOf(b)];
    // No number of this column: behind those that have one.
    if (one === null || other === null) {
      return Number(one === null) - Number(other === null) || urgency(a, b);
    }
    return way * (one - other) || urgency(a, b);
  };
}

/**
 * Whether a column's order keeps what was not scored in a block on top.
 * @param {string} column A key of `WAYS`.
 * @param {number} way 1 for up, -1 for down.
 * @returns {boolean} Whether it does.
 */
export function hasBlocks(column, way) {
  return column in VALUES || (column === 'urgency' && way === 1);
}

/**
 * Where a row goes.
 * @param {import('./worklist.js').Row[]} rows Sorted rows.
 * @param {import('./worklist.js').Row} row A row that is not among them.
 * @param {Function} compare From `comparison`.
 * @returns {number} Its place, behind its equals.
 */
export function placeOf(rows, row, compare) {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(row, rows[middle]) < 0) high = middle;
    else low = middle + 1;
  }
  return low;
}
