/**
 * What the page says in words about flags, those of `covseg_tf.triage`.
 * @module
 */

/** Words for each flag. */
export const FLAG_TEXTS = {
  no_lungs_found: 'No lungs found: is this a frontal chest X-ray?',
  lung_area_implausible: 'The lung area is implausible; not scored.',
  not_a_chest_xray: 'Does not look like a frontal chest X-ray; not scored.',
  film_rotated: 'The film seems to be turned or tilted; not scored.',
  lungs_cut_off: 
    'The lungs are cut off at an edge: the numbers are of what is in the picture.',
  lungs_not_separable: 'The lungs cannot be told apart; no numbers per lung.',
};

/** With these, which side is which is in doubt. */
export const UNSURE_SIDES = ['film_rotated', 'not_a_chest_xray'];

/** Words for what was done to an image on its way here. */
export const NOTE_TEXTS = {
  stretched: 'More than 8 bits and no window: stretched from minimum to maximum.',
  mirrored: "Mirrored back: the header says the patient's right is on the right.",
  camera: 'A photograph of a film: not measured, expect worse numbers.',
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
 * A percentage as it is shown.
 * @param {?number} value Percent, `null` for none.
 * @returns {string} One decimal, or a dash.
 */
export function percent(value) {
  return value === null ? '–' : `${value.toFixed(1)} %`;
}

/**
 * A row's extent score as it is shown.
 * @param {import('./worklist.js').Row} row A row of the worklist.
 * @returns {string} Of 8, or a dash.
 */
export function extentOf(row) {
  const total = row.found?.extent.total ?? null;
  return total === null ? '–' : `${total} / 8`;
}

/**
 * A row's involved zones as they are shown.
 * @param {import('./worklist.js').Row} row A row of the worklist.
 * @returns {string} Of 6, or a dash.
 */
export function zonesOf(row) {
  return row.found?.zones ? `${row.found.zones.count} / 6` : '–';
}
