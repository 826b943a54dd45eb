/**
 * The worklist on the page.
 * @module
 */

import {changeOf, whoIs} from './identity.js';
import {headingRow, setText, tableRow} from './line.js';
import {comparison, hasBlocks, PARTS, placeOf, WAYS} from './order.js';
import {isScored} from './worklist.js';

const $ = (id) => document.getElementById(id);

/** The list; a row that comes touches its own line and no other. */
export class Table {
  #rows = []; // sorted, the hidden ones too
  #lines = new Map();
  #counts = start();
  #shown = {unscored: 0, scored: 0};
  #chosen = null;
  #column = 'urgency';
  #way = 1;
  #ranks = null; // places of an order that no comparison gives
  #part = 'all';
  #words = '';
  #onChoose;
  #above = {unscored: headingRow(), scored: headingRow()};

  /**
   * @param {(row: import('./worklist.js').Row) => void} onChoose Called with a row.
   * @param {() => void} onOrder Called when other rows are shown, or in another order.
   */
  constructor(onChoose, onOrder) {
    this.#onChoose = onChoose;
    for (const button of document.querySelectorAll('#worklist th button')) {
      button.addEventListener('click', () => {
        this.#sortBy(button.closest('th').dataset.column);
        onOrder();
      });
    }
    for (const button of document.querySelectorAll('#parts button')) {
      button.addEventListener('click', () => {
        this.#part = button.dataset.part;
        this.#filter();
        onOrder();
      });
    }
    $('words').addEventListener('input', () => {
      this.#words = $('words').value.trim().toLowerCase();
      this.#filter();
      onOrder();
    });
    this.#tell();
  }

  /** @returns {?import('./worklist.js').Row} The first row that is shown. */
  get first() {
    return this.#rows.find((row) => this.#isShown(row)) ?? null;
  }

  /**
   * Takes a row to its place.
   * @param {import('./worklist.js').Row} row A new row.
   */
  add(row) {
    if (this.#ranks) this.#arrange(null); // among patients there is no place for it yet
    const place = placeOf(this.#rows, row, this.#compare());
    const behind = this.#lines.get(this.#rows[place]);
    this.#rows.splice(place, 0, row);
    const line = tableRow(row, this.#onChoose);
    this.#lines.set(row, line);
    line.hidden = !this.#isShown(row);
    $('rows').insertBefore(line, behind ?? null);
    for (const [part, holds] of Object.entries(PARTS)) {
      this.#counts[part] += Number(holds(row));
    }
    if (!line.hidden) this.#shown[blockOf(row)] += 1;
    this.#tell();
    this.#head();
  }

  /**
   * Brings films of one patient together, where the list is sorted by urgency.
   * @param {import('./worklist.js').Row[]} rows All rows, from `byPatient`.
   */
  group(rows) {
    this.#arrange(new Map(rows.map((row, index) => [row, index])));
    for (const row of rows) {
      const who = this.#lines.get(row).querySelector('.who');
      const change = changeOf(row);
      if (who) setText(who, change ? `${whoIs(row)}; ${change}` : whoIs(row));
    }
  }

  /** Leaves no row. */
  clear() {
    this.#ranks = null;
    [this.#rows, this.#chosen, this.#words, this.#part] = [[], null, '', 'all'];
    this.#lines.clear();
    this.#counts = start();
    $('words').value = '';
    this.#filter();
    this.#show();
  }

  /**
   * Marks the row in the viewer.
   * @param {?import('./worklist.js').Row} row One of the list, or none.
   */
  choose(row) {
    const mark = (line, isChosen) => {
      line?.classList.toggle('chosen', isChosen);
      if (isChosen) line.querySelector('button').setAttribute('aria-current', 'true');
      else line?.querySelector('button').removeAttribute('aria-current');
    };
    if (row !== this.#chosen) mark(this.#lines.get(this.#chosen), false);
    this.#chosen = row;
    if (row) mark(this.#lines.get(row), true);
  }

  /**
   * The row before or behind another of those that are shown.
   * @param {import('./worklist.js').Row} row One of the list.
   * @param {number} step -1 for before, 1 for behind.
   * @returns {?import('./worklist.js').Row} The row, if there is one.
   */
  beside(row, step) {
    let place = this.#rows.indexOf(row) + step;
    while (this.#rows[place] && !this.#isShown(this.#rows[place])) place += step;
    return this.#rows[place] ?? null;
  }

  /**
   * Brings a row's line into view.
   * @param {import('./worklist.js').Row} row One of the list.
   * @param {boolean} takesFocus Whether the keyboard goes there.
   */
  reveal(row, takesFocus) {
    const line = this.#lines.get(row);
    if (takesFocus) line.querySelector('button').focus({preventScroll: true});
    line.scrollIntoView({block: 'nearest'});
  }

  /**
   * A row's number in the list as it is shown, from 1.
   * @param {import('./worklist.js').Row} row One of the list.
   * @returns {number} Its number; 0 if it is not shown.
   */
  numberOf(row) {
    if (!this.#isShown(row)) return 0;
    let number = 1;
    for (const each of this.#rows) {
      if (each === row) return number;
      number += Number(this.#isShown(each));
    }
    return 0;
  }

  #isShown(row) {
    return PARTS[this.#part](row) &&
      (!this.#words || `${row.file} ${whoIs(row)}`.toLowerCase().includes(this.#words));
  }

  #sortBy(column) {
    this.#way = column === this.#column ? -this.#way : WAYS[column];
    this.#column = column;
    this.#rows.sort(this.#compare());
    this.#show();
  }

  #compare() {
    if (this.#column !== 'urgency' || !this.#ranks) {
      return comparison(this.#column, this.#way);
    }
    return (a, b) => this.#way * (this.#ranks.get(a) - this.#ranks.get(b));
  }

  #arrange(ranks) {
    this.#ranks = ranks;
    if (this.#column !== 'urgency') return;
    this.#rows.sort(this.#compare());
    this.#show();
  }

  #filter() {
    this.#shown = {unscored: 0, scored: 0};
    for (const row of this.#rows) {
      const isShown = this.#isShown(row);
      this.#lines.get(row).hidden = !isShown;
      this.#shown[blockOf(row)] += Number(isShown);
    }
    this.#tell();
    this.#head();
  }

  #show() {
    const focused = document.activeElement;
    $('rows').replaceChildren(...this.#rows.map((row) => this.#lines.get(row)));
    if (focused?.isConnected) focused.focus(); // a line that moves loses it
    for (const head of document.querySelectorAll('#worklist th[data-column]')) {
      const isSorted = head.dataset.column === this.#column;
      const way = this.#way > 0 ? 'ascending' : 'descending';
      if (isSorted) head.setAttribute('aria-sort', way);
      else head.removeAttribute('aria-sort');
    }
    this.#head();
  }

  /** How many rows each part has, on its button. */
  #tell() {
    for (const button of document.querySelectorAll('#parts button')) {
      const {part} = button.dataset;
      setText(button.querySelector('b'), String(this.#counts[part]));
      button.setAttribute('aria-pressed', String(part === this.#part));
    }
    const {scored, unscored} = this.#shown;
    $('nothing').hidden = scored + unscored > 0 || !this.#rows.length;
  }

  /** The headings of the two blocks, where the order has them. */
  #head() {
    const {unscored, scored} = this.#above;
    const isBlocked = hasBlocks(this.#column, this.#way) && this.#shown.unscored > 0;
    const words = this.#column === 'urgency' ? 'Most involved first' : 'Scored';
    const firsts = [[unscored, 0], [scored, this.#counts.unscored]];
    for (const [heading, place] of firsts) {
      const line = this.#lines.get(this.#rows[place]);
      const isNeeded = isBlocked && line && (heading === unscored || this.#shown.scored);
      if (!isNeeded) heading.remove();
      else if (heading.nextSibling !== line) line.before(heading);
    }
    setText(unscored.firstChild, `Needs a reader: not scored (${this.#shown.unscored})`);
    setText(scored.firstChild, `${words} (${this.#shown.scored})`);
  }
}

function start() {
  return Object.fromEntries(Object.keys(PARTS).map((part) => [part, 0]));
}

function blockOf(row) {
  return isScored(row) ? 'scored' : 'unscored';
}
