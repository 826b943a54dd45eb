/**
 * Zoom, pan, window and keys of the viewer.
 *
 * Wheel or + and - zoom, a drag pans, a drag with the right button (two fingers) sets
 * window and level, I inverts, O shows and hides the overlay, arrows and PageUp or
 * PageDown walk the list, / searches it, 0 takes the view back.
 * @module
 */

const LARGEST = 8;
const STEP = 1.25;
// What a drag over the whole picture changes: window as a factor, level in greys' range.
const WINDOW_SPAN = 4;
const LEVEL_SPAN = 1;
const STEPS = {ArrowUp: -1, PageUp: -1, ArrowDown: 1, PageDown: 1};
const TYPING = 'input:not([type=checkbox]):not([type=range]), select, textarea';

const $ = (id) => document.getElementById(id);

/** What was done to the view of one film; nothing of it changes a number. */
export class Gestures {
  #view = start();
  #fingers = new Map();

  /** @param {(step: number) => void} onStep Called to go back (-1) or on (1). */
  constructor(onStep) {
    const picture = $('picture');
    picture.addEventListener('wheel', (event) => {
      event.preventDefault();
      this.#zoom(event.deltaY < 0 ? STEP : 1 / STEP, event);
    }, {passive: false});
    picture.addEventListener('contextmenu', (event) => event.preventDefault());
    picture.addEventListener('pointerdown', (event) => {
      picture.setPointerCapture(event.pointerId);
      this.#fingers.set(event.pointerId, event);
    });
    picture.addEventListener('pointermove', (event) => this.#drag(event));
    for (const end of ['pointerup', 'pointercancel']) {
      picture.addEventListener(end, (event) => this.#fingers.delete(event.pointerId));
    }
    document.addEventListener('keydown', (event) => this.#press(event, onStep));
  }

  /** Takes zoom, place, window and inversion back, as for another film. */
  reset() {
    this.#view = start();
    this.#apply();
  }

  #press(event, onStep) {
    const isBusy = event.ctrlKey || event.altKey || event.metaKey ||
      event.target.matches(TYPING) || document.querySelector('dialog[open]');
    if (isBusy || $('results').hidden) return;
    const isRange = event.target.type === 'range' && event.key.startsWith('Arrow');
    if (event.key in STEPS && !isRange) {
      event.preventDefault();
      onStep(STEPS[event.key]);
      return;
    }
    if (event.key === '/') {
      event.preventDefault();
      $('words').focus();
      return;
    }
    const does = {
      i: () => (this.#view.isInverted = !this.#view.isInverted),
      o: () => $('show-overlay').click(),
      '+': () => this.#zoom(STEP),
      '-': () => this.#zoom(1 / STEP),
      0: () => (this.#view = start()),
    }[event.key.toLowerCase()];
    does?.();
    this.#apply();
  }

  #zoom(factor, at = null) {
    const before = this.#view.zoom;
    const zoom = Math.min(LARGEST, Math.max(1, before * factor));
    // From the middle of the film as it lies without this view: what it is scaled about.
    const box = $('layers').getBoundingClientRect();
    const [x, y] = at
      ? [
        at.clientX - (box.left + box.width / 2 - this.#view.x),
        at.clientY - (box.top + box.height / 2 - this.#view.y),
      ]
      : [0, 0];
    // What is under the pointer stays under it.
    this.#view.x = x - ((x - this.#view.x) * zoom) / before;
    this.#view.y = y - ((y - this.#view.y) * zoom) / before;
    this.#view.zoom = zoom;
    if (zoom === 1) [this.#view.x, this.#view.y] = [0, 0];
    this.#apply();
  }

  #drag(event) {
    const last = this.#fingers.get(event.pointerId);
    if (!last) return;
    const [x, y] = [event.clientX - last.clientX, event.clientY - last.clientY];
    this.#fingers.set(event.pointerId, event);
    if (event.buttons === 2 || this.#fingers.size === 2) {
      const {width, height} = $('picture').getBoundingClientRect();
      this.#view.window *= WINDOW_SPAN ** (-x / width);
      this.#view.level += (LEVEL_SPAN * y) / height;
    } else if (this.#view.zoom > 1) {
      this.#view.x += x;
      this.#view.y += y;
    }
    this.#apply();
  }

  #apply() {
    const {zoom, x, y, window, level, isInverted} = this.#view;
    $('layers').style.transform = `translate(${x}px, ${y}px) scale(${zoom})`;
    const filters = [`brightness(${1 + level})`, `contrast(${window})`];
    $('film').style.filter = [...filters, isInverted ? 'invert(1)' : ''].join(' ').trim();
    $('picture').classList.toggle('zoomed', zoom > 1);
  }
}

function start() {
  return {zoom: 1, x: 0, y: 0, window: 1, level: 0, isInverted: false};
}
