/**
 * Lines of the worklist on the page; text goes in as text, never as HTML.
 * @module
 */

import {extentOf, sentencesOf} from './flags.js';
import {whoIs} from './identity.js';
import {percent} from './template.js';
import {numbersOf} from './worklist.js';

const COLUMNS = 6;

/**
 * A row's line; its number is counted by the style sheet, so that a row that comes
 * changes no other's line.
 * @param {import('./worklist.js').Row} row Any row.
 * @param {(row: import('./worklist.js').Row) => void} onChoose Called with it.
 * @returns {HTMLTableRowElement} The line.
 */
export function tableRow(row, onChoose) {
  const line = document.createElement('tr');
  const {total, right, left} = numbersOf(row);
  line.append(number('', 'count'), nameCell(row, onChoose));
  line.append(number(extentOf(row)), totalCell(total));
  line.append(number(percent(right), 'aside'), number(percent(left), 'aside'));
  return line;
}

/**
 * A heading over all columns, without words yet.
 * @returns {HTMLTableRowElement} The line; its one cell takes the words.
 */
export function headingRow() {
  const line = document.createElement('tr');
  const cell = document.createElement('th');
  [cell.colSpan, cell.scope] = [COLUMNS, 'col'];
  line.className = 'group';
  line.append(cell);
  return line;
}

function nameCell(row, onChoose) {
  const cell = document.createElement('td');
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = row.file;
  button.addEventListener('click', () => onChoose(row));
  cell.append(button);
  const who = whoIs(row);
  if (who) cell.append(note(who, 'who'));
  const text = sentencesOf(row).join(' ');
  if (text) cell.append(note(text, 'warn'));
  return cell;
}

function note(text, kind) {
  const element = document.createElement('p');
  [element.className, element.textContent] = [kind, text];
  return element;
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

/**
 * Writes words where they are not there already: nothing is drawn for nothing.
 * @param {Element} element Where.
 * @param {string} text The words.
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
