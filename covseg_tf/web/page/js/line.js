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
  const line = part('tr', 'row');
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
  const line = part('tr', 'row');
  const cell = part('th', 'columnheader');
  [cell.colSpan, cell.scope] = [COLUMNS, 'col'];
  line.className = 'group';
  line.append(cell);
  return line;
}

/** With its role: the style sheet lays it out as a grid, where Safari takes it away. */
function part(name, role) {
  const element = document.createElement(name);
  element.setAttribute('role', role);
  return element;
}

function nameCell(row, onChoose) {
  const cell = part('td', 'cell');
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
  const cell = part('td', 'cell');
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
