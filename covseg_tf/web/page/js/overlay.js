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
  for (let i = 0; i < data.length; i++) {
    picture.data.fill(data[i], 4 * i, 4 * i + 3);
    picture.data[4 * i + 3] = 255;
  }
  return picture;
}

function paintOf(found, rows, columns) {
  const picture = new ImageData(columns, rows);
  if (found.involvement.total === null) return picture;
  const infection = maskToImage(found, found.infection, rows, columns);
  const lung = maskToImage(found, found.lung, rows, columns);
  for (let i = 0; i < infection.length; i++) {
    if (infection[i]) put(picture, i, AMBER, SHADE * 255);
  }
  for (const [mask, colour] of [[infection, AMBER], [lung, CYAN]]) {
    for (let i = 0; i < mask.length; i++) {
      if (mask[i] && isEdge(mask, i, rows, columns)) put(picture, i, colour, 255);
    }
  }
  return picture;
}

function isEdge(mask, index, rows, columns) {
  const row = Math.floor(index / columns);
  const column = index % columns;
  return AROUND.some(([down, across]) => {
    const [y, x] = [row + down, column + across];
    return y >= 0 && y < rows && x >= 0 && x < columns && !mask[y * columns + x];
  });
}

function put(picture, index, colour, alpha) {
  picture.data.set(colour, 4 * index);
  picture.data[4 * index + 3] = alpha;
}
