/**
 * What the page says in words about flags, those of `covseg_tf.triage`.
 * @module
 */

import {filters} from './template.js';
import {isScored} from './worklist.js';

/** Words for each flag. */
export const FLAG_TEXTS = {
  too_few_greys: 'Too few shades of grey are left; not scored. Export it anew.',
  no_lungs_found: 'No lungs found: is this a frontal chest X-ray?',
  lung_area_implausible: 'The lung area is implausible; not scored.',
  not_a_chest_xray: 'Does not look like a frontal chest X-ray; not scored.',
  film_rotated: 'The film seems to be turned or tilted; not scored.',
  lungs_cut_off: 
    'The lungs are cut off at an edge: the numbers are of what is in the picture.',
  lungs_not_separable: 'The lungs cannot be told apart; no numbers per lung.',
};

// With these, which side is which is in doubt.
const UNSURE_SIDES = ['film_rotated', 'not_a_chest_xray'];

/** Words for what was done to an image on its way here. */
export const NOTE_TEXTS = {
  stretched:
    'Stretched to the range of its greys: narrow, or more than 8 bits and no window.',
  padding_left_out: 'Padding around the film, named by the header, was left out.',
  rescale_unusable: "The header's rescaling means nothing; left out.",
  window_unusable: 'A window or table of the header means nothing; passed over.',
  borders_cropped: 'Black or white borders were cut off.',
  inverted: 'Greys were inverted: lungs were bright.',
  no_end_mark: 'The JPEG file lacks its end mark; no pixel is missing.',
  mirrored: "Mirrored back: the header says the patient's right is on the right.",
  upended: "Set upright: the header says the patient's head is at the bottom.",
  camera: 'A photograph, not straightened here: expect worse numbers. covseg triage does.',
};

/**
 * Everything to be said about a row.
 * @param {import('./worklist.js').Row} row A row of the worklist.
 * @returns {string[]} Sentences, maybe none.
 */
export function sentencesOf(row) {
  if (row.error) return [row.error];
  return [
    ...row.flags.map((flag) => FLAG_TEXTS[flag] ?? flag),
    ...row.notes.map((note) => NOTE_TEXTS[note] ?? note),
  ];
}

/**
 * What the report says in words about a row, without what was done to it.
 * @param {import('./worklist.js').Row} row A row of the worklist.
 * @returns {string} Sentences, maybe none.
 */
export function noteOf(row) {
  if (row.error) return row.error;
  // What follows the first is of numbers that there are not.
  const flags = isScored(row) ? row.flags : row.flags.slice(0, 1);
  const notes = row.notes.filter((note) => !(note in NOTE_TEXTS));
  return [...flags.map((flag) => FLAG_TEXTS[flag] ?? flag), ...notes].join(' ');
}

/**
 * What was done to a film on its way, in words.
 * @param {import('./worklist.js').Row} row A row of the worklist.
 * @returns {string[]} Sentences, maybe none.
 */
export function remarksOf(row) {
  return row.notes.filter((note) => note in NOTE_TEXTS).map((note) => NOTE_TEXTS[note]);
}

/**
 * What stands above each row: a heading where a block begins, or nothing.
 * @param {import('./worklist.js').Row[]} rows Rows in the worklist's order.
 * @returns {string[]} One for each row.
 */
export function headings(rows) {
  const above = rows.map(() => '');
  const unscored = rows.filter((row) => !isScored(row)).length;
  if (!unscored) return above;
  above[0] = `Needs a reader: not scored (${unscored})`;
  if (unscored < rows.length) {
    above[unscored] = `Most involved first (${rows.length - unscored})`;
  }
  return above;
}

/**
 * Whether right and left may be written beside a row's picture.
 * @param {import('./worklist.js').Row} row A row of the worklist.
 * @returns {boolean} Whether they may.
 */
export function sidesAreSure(row) {
  return !row.flags.some((flag) => UNSURE_SIDES.includes(flag));
}

/**
 * A row's extent score as it is shown.
 * @param {import('./worklist.js').Row} row A row of the worklist.
 * @returns {string} Of 8, or a dash.
 */
export function extentOf(row) {
  const total = row.found?.extent.total ?? null;
  return total === null ? '–' : `${filters.rounded(total)} / 8`;
}

/**
 * A row's involved zones as they are shown.
 * @param {import('./worklist.js').Row} row A row of the worklist.
 * @returns {string} Of 6, or a dash.
 */
export function zonesOf(row) {
  return row.found?.zones ? `${row.found.zones.count} / 6` : '–';
}
