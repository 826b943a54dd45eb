/**
 * The rows of a session and their order.
 * @module
 */

/**
 * One line of the worklist.
 * @typedef {object} Row
 * @property {string} file Name of the file.
 * @property {?import('./prediction.js').Prediction} found What was found in it.
 * @property {?import('./grey.js').Grey} shown The film as it is shown.
 * @property {number} rows Height of the image, 0 if unread.
 * @property {number} columns Width of the image, 0 if unread.
 * @property {string[]} flags Reasons for missing numbers.
 * @property {string[]} notes What was done to it.
 * @property {string} error Why it could not be read, or empty.
 * @property {string} finished When it was done, ISO 8601 in UTC.
 */

/**
 * A row for an image that was looked at.
 * @param {string} file Its name.
 * @param {import('./grey.js').Grey} image Its pixels.
 * @param {import('./prediction.js').Prediction} found What was found.
 * @param {import('./grey.js').Grey} shown The film as it is shown.
 * @param {string[]} notes What was done to it.
 * @returns {Row} The row.
 */
export function scoredRow(file, image, found, shown, notes) {
  const {rows, columns} = image;
  const {flags} = found;
  return {file, found, shown, rows, columns, flags, notes, error: '', finished: now()};
}

/**
 * A row for a file that could not be read.
 * @param {string} file Its name.
 * @param {string} error Why, in words.
 * @returns {Row} The row.
 */
export function failedRow(file, error) {
  const nothing = {found: null, shown: null, rows: 0, columns: 0};
  return {file, ...nothing, flags: [], notes: [], error, finished: now()};
}

/**
 * The numbers of a row.
 * @param {Row} row Any row.
 * @returns {{total: ?number, right: ?number, left: ?number}} Percents.
 */
export function numbersOf(row) {
  return row.found?.involvement ?? {total: null, right: null, left: null};
}

/**
 * Whether a row has a number; what has none is shown without paint.
 * @param {Row} row Any row.
 * @returns {boolean} Whether it has.
 */
export function isScored(row) {
  return numbersOf(row).total !== null;
}

/**
 * Sorts: first what needs a reader because it was not scored, of that the unread
 * last, then the most involved.
 * @param {Row[]} rows Rows in any order.
 * @returns {Row[]} A sorted copy.
 */
export function byUrgency(rows) {
  const rank = (row) => (isScored(row) ? 2 : row.error ? 1 : 0);
  return [...rows].sort((a, b) =>
    rank(a) - rank(b) ||
    (numbersOf(b).total ?? 0) - (numbersOf(a).total ?? 0) ||
    (a.file < b.file ? -1 : Number(a.file > b.file)));
}

function now() {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}
