/**
 * What the outline of the lungs says, as `covseg_tf.edge.lung_shape`.
 * @module
 */

import {connectedPieces} from './components.js';

// Shares of the image's area, and of the larger lung.
const SMALLEST_LUNG = 0.02;
const SMALLEST_RATIO = 0.2;

/**
 * Drops small pieces of a mask.
 * @param {Uint8Array} mask 0 or 1, row by row.
 * @param {number} columns Its width.
 * @param {number} share Smallest share of the mask's area that is kept.
 * @returns {Uint8Array} Likewise.
 */
export function dropSpecks(mask, columns, share) {
  const {labels, pieces} = connectedPieces(mask, columns);
  const kept = pieces.map(({area}) => area >= share * mask.length);
  return mask.map((_, i) => Number(labels[i] > 0 && kept[labels[i] - 1]));
}

/**
 * The two lungs, and how far the line through their centres is from level.
 * @param {Uint8Array} mask Lungs, 0 or 1, row by row.
 * @param {number} columns Its width.
 * @param {number} tall Rows of the image per row of the mask.
 * @param {number} wide Columns of the image per column of the mask.
 * @returns {{sides: ?Uint8Array[], tilt: ?number}} Masks of the patient's right and
 *   left lung, and degrees in [0, 90]; `null` where there are not two.
 */
export function findLungs(mask, columns, tall, wide) {
  const {labels, pieces} = connectedPieces(mask, columns);
  const pair = largestTwo(pieces, mask.length);
  if (!pair) return {sides: null, tilt: null};
  const [left, right] = pair;
  // Side by side: each centre lies outside the other's columns.
  const apart = right.centre > left.right && left.centre < right.left;
  if (!apart) return {sides: null, tilt: null};
  const sides = split(mask, labels, pieces, left, right);
  const [one, other] = sides.map((side) => centreOf(side, columns));
  const down = Math.abs((other.row - one.row) * tall);
  const across = Math.abs((other.column - one.column) * wide);
  return {sides, tilt: Math.atan2(down, across) * (180 / Math.PI)};
}

function centreOf(side, columns) {
  let row = 0, column = 0, count = 0;
  side.forEach((x, i) => {
    if (x) {
      row += Math.floor(i / columns);
      column += i % columns;
      count += 1;
    }
  });
  return {row: row / count, column: column / count};
}

/**
 * The largest share of an edge that a mask touches.
 * @param {Uint8Array} mask 0 or 1, row by row.
 * @param {number} columns Its width.
 * @returns {number} In [0, 1]; each of the four edges for itself.
 */
export function edgeContact(mask, columns) {
  const rows = mask.length / columns;
  const share = (length, at) => {
    let sum = 0;
    for (let i = 0; i < length; i++) sum += mask[at(i)];
    return sum / length;
  };
  return Math.max(
    share(columns, (i) => i),
    share(columns, (i) => (rows - 1) * columns + i),
    share(rows, (i) => i * columns),
    share(rows, (i) => (i + 1) * columns - 1));
}

function largestTwo(pieces, size) {
  if (pieces.length < 2) return null;
  const [large, small] = [...pieces].sort((a, b) => b.area - a.area);
  const least = Math.max(SMALLEST_LUNG * size, SMALLEST_RATIO * large.area);
  if (small.area < least) return null;
  return [large, small].sort((a, b) => a.centre - b.centre);
}

/** Other pieces join the nearer lung. */
function split(mask, labels, pieces, left, right) {
  const middle = (left.centre + right.centre) / 2;
  const onLeft = pieces.map((piece) =>
    piece === left ? true : piece === right ? false : piece.centre < middle);
  return [true, false].map((wanted) =>
    mask.map((x, i) => Number(x > 0 && onLeft[labels[i] - 1] === wanted)));
}
