/**
 * Connected pieces of a mask, as `cv2.connectedComponentsWithStats` finds them.
 * @module
 */

/**
 * What is known of a piece.
 * @typedef {{area: number, left: number, right: number, centre: number, middle: number}} Piece
 */

/**
 * Labels the 8-connected pieces of a square or other mask.
 * @param {Uint8Array} mask Non-zero is foreground, row by row.
 * @param {number} columns Width of the mask.
 * @returns {{labels: Int32Array, pieces: Piece[]}} Label per pixel, 0 for the
 *   background; `pieces[label - 1]` with its area, its first column, the column
 *   after its last, and the mean column (`centre`) and row (`middle`) of its pixels.
 */
export function connectedPieces(mask, columns) {
  const labels = new Int32Array(mask.length);
  const pieces = [];
  const stack = [];
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || labels[start]) continue;
    const label = pieces.length + 1;
    labels[start] = label;
    stack.push(start);
    let [area, sum, sumOfRows, left, right] = [0, 0, 0, columns, 0];
    while (stack.length) {
      const at = stack.pop();
      const column = at % columns;
      area += 1;
      sum += column;
      sumOfRows += (at - column) / columns;
      left = Math.min(left, column);
      right = Math.max(right, column + 1);
      pushNeighbours(mask, columns, at, label, labels, stack);
    }
    pieces.push({area, left, right, centre: sum / area, middle: sumOfRows / area});
  }
  return {labels, pieces};
}

function pushNeighbours(mask, columns, at, label, labels, stack) {
  const column = at % columns;
  const from = column > 0 ? -1 : 0;
  const to = column < columns - 1 ? 1 : 0;
  for (let row = -columns; row <= columns; row += columns) {
    for (let step = from; step <= to; step++) {
      const next = at + row + step;
      if (next >= 0 && next < mask.length && mask[next] && !labels[next]) {
        labels[next] = label;
        stack.push(next);
      }
    }
  }
}
