/**
 * The queue of a session: one image after the other, and what came of each.
 * @module
 */

import {failedRow, scoredRow} from './worklist.js';

// Before so many are done, a guess of the time left would jump.
const FEWEST_TO_GUESS = 3;

/**
 * An image to look at.
 * @typedef {object} Job
 * @property {string} name What the worklist calls it.
 * @property {() => Promise<Blob|import('./grey.js').Grey>} open Gives it.
 * @property {string[]} notes What was done to it before.
 */

/** Looks at what is given, and keeps the rows. */
export class Session {
  #looker;
  #on;
  #queue = [];
  #era = 0;

  /** @type {import('./worklist.js').Row[]} In the order in which they were done. */
  rows = [];
  /** @type {boolean} Whether something is being looked at. */
  isBusy = false;
  /** @type {boolean} Whether to read whose film a DICOM is. */
  identify = false;

  /**
   * @param {import('./looker.js').Looker} looker What looks.
   * @param {{progress: (done: number, total: number, seconds: ?number) => void,
   *   row: (row: import('./worklist.js').Row, isFirst: boolean) => void,
   *   end: (done: number) => void}} on Called before each image, with how many seconds
   *   all of them may still take; after each; and after the last.
   */
  constructor(looker, on) {
    this.#looker = looker;
    this.#on = on;
  }

  /**
   * Takes jobs, behind those that wait.
   * @param {Job[]} jobs What to look at.
   * @returns {Promise<void>} Once it is done.
   */
  async add(jobs) {
    for (const job of jobs) this.#queue.push(job);
    if (this.isBusy || !this.#queue.length) return;
    this.isBusy = true;
    let [done, start] = [0, performance.now()];
    while (this.#queue.length) {
      const job = this.#queue.shift();
      const era = this.#era; // before anything is waited for: it may be cleared meanwhile
      const left = this.#queue.length + 1;
      const pace = done < FEWEST_TO_GUESS ? null : (performance.now() - start) / done;
      this.#on.progress(done, done + left, pace && (pace * left) / 1000);
      const row = await this.#look(job);
      if (era !== this.#era) {
        [done, start] = [0, performance.now()];
        continue;
      }
      done += 1;
      this.rows.push(row);
      this.#on.row(row, done === 1);
    }
    this.isBusy = false;
    this.#on.end(done);
  }

  /** Forgets all rows and whatever waits. */
  clear() {
    this.#era += 1;
    [this.rows, this.#queue] = [[], []];
    return this.#looker.forget();
  }

  async #look({name, open, notes}) {
    try {
      const {identify} = this;
      return scoredRow(name, await this.#looker.look(await open(), {identify}), notes);
    } catch (error) {
      return failedRow(name, error.message || 'It cannot be read.');
    }
  }
}
