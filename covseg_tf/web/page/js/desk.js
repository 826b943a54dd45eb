/**
 * All that is done with one image: reading, correcting, scoring, drawing. It needs no
 * document, so that a worker can do it; see `looker.js`.
 * @module
 */

import {readFile} from './decode.js';
import {drawLayers, shrinkToShow} from './overlay.js';
import {Segmenter} from './segmenter.js';

const MODEL = new URL('../model/', import.meta.url).href;
// Of the pictures in the saved report, as in that of `covseg triage`.
const LONGEST = 512;

/**
 * What came of one image.
 * @typedef {object} Look
 * @property {number} rows Height of the image in its file.
 * @property {number} columns Width of the image in its file.
 * @property {import('./prediction.js').Prediction} found What was found.
 * @property {import('./grey.js').Grey} shown The film as the viewer shows it.
 * @property {{film: string, paint: string, width: number, height: number}} pictures
 *   Those of a saved report, as `data:` addresses; `paint` is empty if not scored.
 * @property {string[]} notes What was done to it.
 * @property {?object} identity Whose film it is, if that was asked for and is known.
 */

/** Looks at images with the page's model. */
export class Desk {
  #segmenter = Segmenter.load(MODEL);

  /**
   * What the page says about the model.
   * @returns {Promise<{bundle: object, version: string, trust: string}>} Facts.
   * @throws {Error} If the model cannot be used, in words for the reader.
   */
  async facts() {
    const {bundle, version, trust} = await this.#segmenter;
    return {bundle, version, trust};
  }

  /**
   * Looks at one image.
   * @param {Blob|import('./grey.js').Grey} source A file, or pixels.
   * @param {{identify: boolean}} options Whether to read whose film it is.
   * @returns {Promise<Look>} What came of it.
   * @throws {Error} If it cannot be read, in words for the reader.
   */
  async look(source, options) {
    const image = source instanceof Blob ? await readFile(source, options) : source;
    const segmenter = await this.#segmenter;
    const film = segmenter.correct(image);
    const found = await segmenter.predict(film);
    const {rows, columns, identity = null} = image;
    const shown = shrinkToShow(film);
    const pictures = await drawPictures(shown, found);
    return {rows, columns, found, shown, pictures, notes: film.notes, identity};
  }
}

async function drawPictures(shown, found) {
  const {film, paint} = drawLayers(shrinkToShow(shown, LONGEST), found);
  const isScored = found.involvement.total !== null;
  return {
    film: await dataUrl(film, 'image/jpeg'),
    paint: isScored ? await dataUrl(paint, 'image/png') : '',
    width: film.width,
    height: film.height,
  };
}

async function dataUrl(picture, type) {
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext('2d').putImageData(picture, 0, 0);
  const blob = await canvas.convertToBlob({type, quality: 0.82});
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = '';
  for (let i = 0; i < bytes.length; i += 8192) {
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return `data:${type};base64,${btoa(text)}`;
}
