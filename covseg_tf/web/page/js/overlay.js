/**
 * Pictures of a film and of what was found in it.
 * @module
 */

import {maskToImage} from './prediction.js';
import {resizeArea} from './resize.js';

const LONGEST = 1024;
const AMBER = [255, 160, 0];
const CYAN = [0, 210, 230];
const SHADE = 0.38;
// Neighbours two pixels away: a mask's pixel with one outside is its outline.
const AROUND = [[-2, 0], [2, 0], [0, -2], [0, 2], [-1, -1], [-1, 1], [1, -1], [1, 1]];

/**
 * Shrinks a film to what is shown and kept of it.
 * @param {import('./grey.js').Grey} image The film.
 * @param {number} longest Its longest side at most, in pixels.
 * @returns {import('./grey.js').Grey} Likewise.
 */
export function shrinkToShow(image, longest = LONGEST) {
  const factor = longest / Math.max(image.rows, image.columns);
  if (factor >= 1) return image;
  const [rows, columns] = [image.rows, image.columns].map((side) =>
    Math.max(1, Math.round(side * factor)));
  return resizeArea(image, rows, columns);
}

/**
 * Draws a film and its overlay; a film that is not scored is shown plain.
 * @param {import('./grey.js').Grey} shown From `shrinkToShow`.
 * @param {import('./prediction.js').Prediction} found What was found.
 * @returns {{film: ImageData, paint: ImageData}} Both pictures; `paint` is
 *   transparent where nothing was found.
 */
export function drawLayers(shown, found) {
  return {film: greyPicture(shown), paint: paintOf(found, shown.rows, shown.columns)};
}

function greyPicture({rows, columns, data}) {
  const picture = new ImageData(columns, rows);
  const words = new Uint32Array(picture.data.buffer);
  for (let i = 0; i < data.length; i++) words[i] = 0xff000000 | (data[i] * 0x10101);
  return picture;
}

function paintOf(found, rows, columns) {
  const picture = new ImageData(columns, rows);
  if (found.involvement.total === null) return picture;
  const words = new Uint32Array(picture.data.buffer);
  const infection = maskToImage(found, found.infection, rows, columns);
  const lung = maskToImage(found, found.lung, rows, columns);
  const shade = word(AMBER, SHADE * 255);
  for (let i = 0; i < infection.length; i++) {
    if (infection[i]) words[i] = shade;
  }
  outline(words, infection, rows, columns, word(AMBER, 255));
  outline(words, lung, rows, columns, word(CYAN, 255));
  return picture;
}

/** Four bytes of a picture as one number, in the order of this machine. */
function word(colour, alpha) {
  return new Uint32Array(Uint8ClampedArray.of(...colour, alpha).buffer)[0];
}

function outline(words, mask, rows, columns, ink) {
  const around = AROUND.map(([down, across]) => down * columns + across);
  for (let row = 0, i = 0; row < rows; row++) {
    const isInside = row >= 2 && row < rows - 2;
    for (let column = 0; column < columns; column++, i++) {
      if (!mask[i]) continue;
      if (isInside && column >= 2 && column < columns - 2) {
        for (let k = 0; k < around.length; k++) {
          if (!mask[i + around[k]]) {
            words[i] = ink;
            break;
          }
        }
      } else if (isEdge(mask, row, column, rows, columns)) {
        words[i] = ink;
      }
    }
  }
}

/** For the picture's own border, beyond which there is no outside. */
function isEdge(mask, row, column, rows, columns) {
  return AROUND.some(([down, across]) => {
    const [y, x] = [row + down, column + across];
    return y >= 0 && y < rows && x >= 0 && x < columns && !mask[y * columns + x];
  });
}
