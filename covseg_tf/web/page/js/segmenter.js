/**
 * Loads the bundle and LiteRT, and runs the network.
 * @module
 */

import {loadAndCompile, loadLiteRt, Tensor} from '../vendor/litert/index.js';
import {hasFewGreys, widen} from './contrast.js';
import {correctFilm} from './correct.js';
import {Guard} from './guard.js';
import {readLevels} from './prediction.js';
import {resize} from './resize.js';

// The build without relaxed SIMD: its arithmetic is the same on every machine.
const RUNTIME = new URL(
  '../vendor/litert/litert_wasm_compat_internal.js', import.meta.url);

/** Finds lung and infection in grey pixels. */
export class Segmenter {
  #model;
  #chest;

  /**
   * @param {object} bundle The bundle's `bundle.json`.
   * @param {object} model The compiled model.
   * @param {Guard} guard What looks at the pictures first.
   * @param {{version: string, trust: string, chest: number[]}} facts Of the page.
   */
  constructor(bundle, model, guard, {version, trust, chest}) {
    /** @type {object} The bundle's `bundle.json`. */
    this.bundle = bundle;
    /** @type {Guard} What looks at the pictures first. */
    this.guard = guard;
    /** @type {string} Version of covseg. */
    this.version = version;
    /** @type {string} How far to trust its numbers, in words. */
    this.trust = trust;
    this.#model = model;
    this.#chest = chest;
  }

  /**
   * Cuts a wide frame off and turns swapped greys back.
   * @param {import('./grey.js').Grey} image Grey pixels of any size.
   * @returns {import('./grey.js').Grey & {notes: string[]}} The film as it is scored.
   */
  correct(image) {
    return correctFilm(image, this.#chest);
  }

  /**
   * Fetches, verifies and compiles the page's model.
   * @param {string} folder Address where `bundle.json` and `model.tflite` lie.
   * @returns {Promise<Segmenter>} Ready to predict.
   * @throws {Error} If a file is missing or damaged, in words for the reader.
   */
  static async load(folder) {
    const bundle = await getJson(`${folder}bundle.json`);
    if (bundle.format !== 'covseg_bundle' || bundle.format_version !== 1) {
      throw new Error('The model is of a format that this page does not read.');
    }
    const bytes = await get(`${folder}model.tflite`);
    if ((await sha256(bytes)) !== bundle.files['model.tflite']) {
      throw new Error('The model is damaged: its checksum does not match.');
    }
    const facts = await getJson(`${folder}guard.json`);
    const weights = await get(`${folder}guard_weights.npy`);
    if ((await sha256(weights)) !== facts.sha256) {
      throw new Error('The guard is damaged: its checksum does not match.');
    }
    const page = await getJson(`${folder}page.json`);
    const guard = new Guard(weights, facts);
    // Its log goes to the error stream, notices included.
    globalThis.Module = {
      printErr: (text) => console.debug(text),
      // A worker would look beside its own script.
      locateFile: (name) => new URL(name, RUNTIME).href,
    };
    await loadLiteRt(RUNTIME.href);
    const options = {accelerator: 'wasm', cpuOptions: {numThreads: 1}};
    const model = await loadAndCompile(bytes, options);
    return new Segmenter(bundle, model, guard, page);
  }

  /**
   * Segments one image.
   * @param {import('./grey.js').Grey} image Grey pixels of any size.
   * @returns {Promise<import('./prediction.js').Prediction>} What was found.
   */
  async predict(image) {
    const {height, width} = this.bundle.preprocessing;
    const grey = widen(image);
    const small = resize(grey, height, width);
    const input = new Tensor(new Uint8Array(small.data), [1, height, width, 1]);
    let outputs;
    try {
      outputs = await this.#model.run({image: input});
      const lung = await outputs.lung.data();
      const infection = await outputs.infection.data();
      const levels = {lung, infection, columns: width};
      const fewGreys = hasFewGreys(grey.data);
      const flags = fewGreys ? ['too_few_greys'] : this.guard.flags(small);
      const {threshold, readers} = this.bundle;
      return readLevels(levels, image, threshold, flags, readers);
    } finally {
      input.delete();
      Object.values(outputs ?? {}).forEach((tensor) => tensor.delete());
    }
  }
}

async function getJson(path) {
  return JSON.parse(new TextDecoder().decode(await get(path)));
}

async function get(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path} is missing (${response.status}).`);
  return new Uint8Array(await response.arrayBuffer());
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (x) => x.toString(16).padStart(2, '0')).join('');
}
