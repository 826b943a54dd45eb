/**
 * The large picture of one row, with its numbers.
 * @module
 */

import {extentOf, sentencesOf, sidesAreSure, zonesOf} from './flags.js';
import {Gestures} from './gestures.js';
import {drawLayers} from './overlay.js';
import {percent} from './template.js';
import {numbersOf} from './worklist.js';

const $ = (id) => document.getElementById(id);

/** Shows one row of the worklist. */
export class Viewer {
  #gestures;
  #row = null;

  /** @param {(step: number) => void} onStep Called to go back (-1) or on (1). */
  constructor(onStep) {
    $('show-overlay').addEventListener('change', () => this.#applyStrength());
    $('opacity').addEventListener('input', () => this.#applyStrength());
    $('full-screen').hidden = !document.fullscreenEnabled;
    $('full-screen').addEventListener('click', () => $('picture').requestFullscreen());
    $('previous').addEventListener('click', () => onStep(-1));
    $('next').addEventListener('click', () => onStep(1));
    this.#gestures = new Gestures(onStep);
  }

  /**
   * Shows a row.
   * @param {import('./worklist.js').Row} row What to show.
   */
  show(row) {
    if (row !== this.#row) this.#gestures.reset();
    this.#row = row;
    $('picture').hidden = !row.shown;
    $('failure').hidden = !row.error;
    $('failure').textContent = row.error;
    for (const id of ['show-overlay', 'opacity', 'full-screen']) {
      $(id).disabled = !row.shown;
    }
    if (row.shown) this.#draw(row);
    const {total, right, left} = numbersOf(row);
    $('total').textContent = percent(total);
    $('right').textContent = percent(right);
    $('left').textContent = percent(left);
    $('extent').textContent = extentOf(row);
    $('zones').textContent = zonesOf(row);
    const sentences = row.error ? [] : sentencesOf(row);
    $('notes').replaceChildren(...sentences.map((text) => {
      const item = document.createElement('li');
      item.textContent = text;
      return item;
    }));
  }

  /**
   * Says where in the worklist the row is.
   * @param {number} number Its number, from 1; 0 if the list does not show it.
   * @param {boolean} before Whether there is one before it.
   * @param {boolean} behind Whether there is one behind it.
   */
  place(number, before, behind) {
    const title = number ? `${number}. ${this.#row.file}` : this.#row.file;
    if ($('viewer-title').textContent !== title) $('viewer-title').textContent = title;
    [$('previous').disabled, $('next').disabled] = [!before, !behind];
  }

  /** Leaves nothing of the last film, in words or in pixels. */
  clear() {
    this.#row = null;
    this.#gestures.reset();
    const words = ['viewer-title', 'failure', 'total', 'right', 'left', 'extent', 'zones'];
    for (const id of words) $(id).textContent = '';
    $('notes').replaceChildren();
    $('picture').hidden = true;
    $('film').removeAttribute('aria-label');
    for (const canvas of $('picture').querySelectorAll('canvas')) {
      [canvas.width, canvas.height] = [0, 0];
    }
  }

  #draw(row) {
    const {shown, file, found} = row;
    $('sides').hidden = !sidesAreSure(row);
    $('layers').style.setProperty('--ratio', shown.columns / shown.rows);
    for (const [name, picture] of Object.entries(drawLayers(shown, found))) {
      const canvas = $(name);
      [canvas.width, canvas.height] = [picture.width, picture.height];
      canvas.getContext('2d').putImageData(picture, 0, 0);
    }
    const {total, right, left} = found.involvement;
    const numbers = total === null ? 'not scored' :
      `extent ${extentOf(row)}, ${percent(total)} of the lungs involved` +
      (right === null ? '' : `, right ${percent(right)}, left ${percent(left)}`);
    $('film').setAttribute('aria-label', `Film ${file}: ${numbers}.`);
    this.#applyStrength();
  }

  #applyStrength() {
    const strength = Number($('opacity').value);
    $('opacity').setAttribute('aria-valuetext', `${strength} percent`);
    $('paint').style.opacity = String(strength / 100);
    $('paint').hidden = !$('show-overlay').checked;
  }
}
