/**
 * Tells whether a picture is what the network was made for, as
 * `covseg_tf.edge.guard`: a layer of hand-made features and a small classifier.
 *
 * Scores agree with Python's to about 1e-5, not to the last bit: the features are
 * computed in double precision here and in single there.
 * @module
 */

import {COARSE, pictureFeatures, shrink, SIDE, turnedFeatures} from './features.js';

const TILTS = [-35, 35];

/** The classifier of views. */
export class Guard {
  #facts;
  #weights;

  /**
   * @param {Uint8Array} file The weights, a NumPy file of float16.
   * @param {{views: string[], limits: Object<string, number>, hidden: number}} facts
   *   From `model/guard.json`.
   */
  constructor(file, facts) {
    this.#facts = facts;
    this.#weights = layers(readFloat16(file), facts.hidden, facts.views.length);
  }

  /**
   * Why a picture should not be scored as a frontal chest X-ray.
   * @param {import('./grey.js').Grey} image The picture.
   * @returns {string[]} Empty, or `film_rotated` or `not_a_chest_xray`.
   */
  flags(image) {
    const small = shrink(image);
    const features = pictureFeatures(small);
    const view = this.#viewOf(features);
    if (view === 'xray') return [];
    const isTurned = view === 'other' && features && this.#isTurned(small, features);
    return [isTurned ? 'film_rotated' : 'not_a_chest_xray'];
  }

  /**
   * The score of each class.
   * @param {import('./grey.js').Grey} image The picture.
   * @returns {number[]} In the order of the facts' `views`; they add up to 1.
   */
  scores(image) {
    return this.#score(pictureFeatures(shrink(image)));
  }

  #isTurned(small, features) {
    const tries = [1, 2, 3].map((turns) => turnedFeatures(features, turns));
    tries.push(...TILTS.map((degrees) => pictureFeatures(tilted(small, degrees))));
    return tries.some((each) => this.#viewOf(each) === 'xray');
  }

  #viewOf(features) {
    const scores = this.#score(features);
    let [best, highest] = ['other', 0];
    this.#facts.views.forEach((view, i) => {
      if (scores[i] > (this.#facts.limits[view] ?? Infinity) && scores[i] > highest) {
        [best, highest] = [view, scores[i]];
      }
    });
    return best;
  }

  #score(features) {
    const {views} = this.#facts;
    if (!features) return views.map((view) => Number(view === 'other'));
    const {mean, scale, first, firstBias, second, secondBias} = this.#weights;
    const input = features.map((x, i) => (x - mean[i]) * scale[i]);
    const hidden = dense(input, first, firstBias).map((x) => Math.max(x, 0));
    const logits = dense(hidden, second, secondBias);
    const highest = Math.max(...logits);
    const powers = Array.from(logits, (x) => Math.exp(x - highest));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((x) => x / sum);
  }
}

function dense(input, weights, bias) {
  const width = bias.length;
  return Float64Array.from(bias, (start, column) =>
    input.reduce((sum, x, row) => sum + x * weights[row * width + column], start));
}

function layers(flat, hidden, views) {
  // features * 2 + features * hidden + hidden + hidden * views + views numbers.
  const features = (flat.length - hidden - hidden * views - views) / (hidden + 2);
  if (!Number.isInteger(features) || features <= COARSE ** 2) {
    throw new Error('The guard is damaged: its weights do not fit.');
  }
  let start = 0;
  const take = (size) => flat.subarray(start, (start += size));
  return {
    mean: take(features), scale: take(features),
    first: take(features * hidden), firstBias: take(hidden),
    second: take(hidden * views), secondBias: take(views),
  };
}

/** Numbers of a version 1 `.npy` file of float16. */
function readFloat16(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const start = 10 + view.getUint16(8, true);
  const header = String.fromCharCode(...file.subarray(10, start));
  if (file[6] !== 1 || !header.includes("'<f2'")) {
    throw new Error('The guard is damaged: its weights are of another kind.');
  }
  const numbers = new Float64Array((file.length - start) / 2);
  return numbers.map((_, i) => halfOf(view.getUint16(start + 2 * i, true)));
}

function halfOf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 0) return sign * fraction * 2 ** -14;
  return sign * (1 + fraction) * 2 ** (exponent - 15);
}

/** The picture turned by degrees against the clock, black around it. */
function tilted({rows, columns, data}, degrees) {
  const angle = (degrees * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const middle = (SIDE - 1) / 2;
  const at = (y, x) =>
    (y >= 0 && y < rows && x >= 0 && x < columns ? data[y * columns + x] : 0);
  const out = new Uint8Array(data.length);
  for (let i = 0; i < out.length; i++) {
    const [dy, dx] = [Math.floor(i / columns) - middle, (i % columns) - middle];
    // In 32nds of a pixel, as OpenCV's warpAffine.
    const x = Math.round((cos * dx - sin * dy + middle) * 32) / 32;
    const y = Math.round((sin * dx + cos * dy + middle) * 32) / 32;
    const [left, top] = [Math.floor(x), Math.floor(y)];
    const [right, down] = [x - left, y - top];
    out[i] = Math.round(
      (at(top, left) * (1 - right) + at(top, left + 1) * right) * (1 - down) +
      (at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right) * down);
  }
  return {rows, columns, data: out};
}
