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
 * @property {?object} pictures Those of a saved report; see `Look` of `desk.js`.
 * @property {number} rows Height of the image, 0 if unread.
 * @property {number} columns Width of the image, 0 if unread.
 * @property {string[]} flags Reasons for missing numbers.
 * @property {string[]} notes What was done to it.
 * @property {?object} identity Whose film it is; see `identity.js`.
 * @property {?number} change Percent of lung more than in the patient's film before; see
 *   `byPatient` of `identity.js`.
 * @property {string} error Why it could not be read, or empty.
 * @property {string} finished When it was done, ISO 8601 in UTC.
 */

/**
 * A row for an image that was looked at.
 * @param {string} file Its name.
 * @param {import('./desk.js').Look} look What came of it.
 * @param {string[]} notes What was done to it before.
 * @returns {Row} The row.
 */
export function scoredRow(file, look, notes) {
  const all = [...notes, ...look.notes];
  const {flags} = look.found;
  return {file, ...look, flags, change: null, notes: all, error: '', finished: now()};
}

/**
 * A row for a file that could not be read.
 * @param {string} file Its name.
 * @param {string} error Why, in words.
 * @returns {Row} The row.
 */
export function failedRow(file, error) {
  const nothing = {found: null, shown: null, pictures: null, identity: null, change: null};
  const size = {rows: 0, columns: 0};
  return {file, ...nothing, ...size, flags: [], notes: [], error, finished: now()};
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
 * Compares two rows: first what needs a reader because it was not scored, of that the
 * unread last, then the most involved.
 * @param {Row} a One row.
 * @param {Row} b Another.
 * @returns {number} Below 0 if `a` comes first.
 */
export function urgency(a, b) {
  const rank = (row) => (isScored(row) ? 2 : row.error ? 1 : 0);
  return rank(a) - rank(b) ||
    (numbersOf(b).total ?? 0) - (numbersOf(a).total ?? 0) ||
    byName(a, b);
}

/**
 * Sorts by urgency.
 * @param {Row[]} rows Rows in any order.
 * @returns {Row[]} A sorted copy.
 */
export function byUrgency(rows) {
  return [...rows].sort(urgency);
}

/**
 * Compares the names of two rows.
 * @param {Row} a One row.
 * @param {Row} b Another.
 * @returns {number} Below 0 if `a` comes first.
 */
export function byName(a, b) {
  return a.file < b.file ? -1 : Number(a.file > b.file);
}

function now() {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}
