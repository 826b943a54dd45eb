/**
 * The worklist on the page.
 * @module
 */

import {headings, extentOf, sentencesOf} from './flags.js';
import {percent} from './template.js';
import {numbersOf} from './worklist.js';

const $ = (id) => document.getElementById(id);

/**
 * Writes the rows; text goes in as text, never as HTML.
 * @param {import('./worklist.js').Row[]} rows Rows in order.
 * @param {import('./worklist.js').Row} chosen The row in the viewer.
 * @param {(row: import('./worklist.js').Row) => void} onChoose Called with a row.
 */
export function drawTable(rows, chosen, onChoose) {
  const focused = document.activeElement?.dataset?.key;
  const above = headings(rows);
  $('rows').replaceChildren(...rows.flatMap((row, index) => {
    const line = tableRow(row, index, row === chosen, onChoose);
    return above[index] ? [headingRow(above[index]), line] : [line];
  }));
  // Rows are made anew: a keyboard's place in them must not be lost.
  if (focused) $('rows').querySelector(`[data-key="${focused}"]`)?.focus();
}

const keys = new WeakMap();
let lastKey = 0;

function tableRow(row, index, isChosen, onChoose) {
  if (!keys.has(row)) keys.set(row, ++lastKey);
  const line = document.createElement('tr');
  line.className = isChosen ? 'chosen' : '';
  const {total, right, left} = numbersOf(row);
  line.append(number(index + 1), nameCell(row, isChosen, onChoose));
  line.append(number(extentOf(row)), totalCell(total));
  line.append(number(percent(right), 'aside'), number(percent(left), 'aside'));
  return line;
}

function headingRow(text) {
  const line = document.createElement('tr');
  const cell = document.createElement('th');
  [cell.textContent, cell.colSpan, cell.scope] = [text, 6, 'col'];
  line.className = 'group';
  line.append(cell);
  return line;
}

function nameCell(row, isChosen, onChoose) {
  const cell = document.createElement('td');
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = row.file;
  button.dataset.key = keys.get(row);
  if (isChosen) button.setAttribute('aria-current', 'true');
  button.addEventListener('click', () => onChoose(row));
  cell.append(button);
  const text = sentencesOf(row).join(' ');
  if (text) {
    const note = document.createElement('p');
    note.className = 'warn';
    note.textContent = text;
    cell.append(note);
  }
  return cell;
}

function totalCell(total) {
  const cell = number(percent(total));
  if (total !== null) {
    const bar = document.createElement('span');
    bar.className = 'bar';
    bar.style.width = `${total}%`;
    cell.append(bar);
  }
  return cell;
}

function number(text, kind = '') {
  const cell = document.createElement('td');
  cell.className = `n ${kind}`;
  cell.textContent = text;
  return cell;
}
