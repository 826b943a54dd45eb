/**
 * What the network says of one image, as `covseg_tf.edge.Prediction`.
 * @module
 */

import {dropSpecks, edgeContact, findLungs} from './lungs.js';
import {readersExtent} from './readers.js';
import {resizeLinear} from './resize.js';
import {extentScore, measureZones, percentOf} from './zones.js';

// Shares of the image's area, degrees, share of an edge: those of prediction.py.
const LUNG_SPECK = 0.005;
const PLAUSIBLE_LUNGS = [0.08, 0.75];
const INFECTION_SPECK = 0.001;
const MOST_TILT = 25;
const MOST_CONTACT = 0.2;
// With one of these, numbers would be about something else than a chest.
const NOT_SCORED = [
  'too_few_greys', 'not_a_chest_xray', 'film_rotated', 'no_lungs_found',
  'lung_area_implausible',
];

/**
 * @typedef {object} Prediction
 * @property {number} rows Height of the network's grid.
 * @property {number} columns Width of the network's grid.
 * @property {Uint8Array} lung Lung without specks on the grid, 0 or 1.
 * @property {Uint8Array} infection Infection inside the lungs, likewise.
 * @property {{total: ?number, right: ?number, left: ?number}} involvement
 *   Percent of the projected lung area; right and left are the patient's.
 * @property {{total: ?number, right: ?number, left: ?number}} extent
 *   Extents, 0 to 4 for a lung and 0 to 8 in all.
 * @property {?{percents: Object<string, number>, threshold: number, count: number}}
 *   zones The six lung zones.
 * @property {string[]} flags What to know before the numbers are used.
 */

/**
 * Turns levels into masks, numbers and flags.
 * @param {{lung: Uint8Array, infection: Uint8Array, columns: number}} levels
 *   Probability times 256, row by row, and the width of the network's grid.
 * @param {{rows: number, columns: number}} image Size of the image.
 * @param {number} threshold Probability above which a pixel is foreground.
 * @param {string[]} guardFlags What the guard said of the image.
 * @param {?object} readers How the map becomes a readers' extent, as the bundle says.
 * @returns {Prediction} What was found.
 */
export function readLevels(levels, image, threshold, guardFlags, readers = null) {
  const {columns} = levels;
  const rows = levels.lung.length / columns;
  const limit = 256 * threshold;
  const inside = levels.lung.map((x) => Number(x > limit));
  const lung = dropSpecks(inside, columns, LUNG_SPECK);
  const painted = levels.infection.map((x, i) => Number(x > limit && lung[i] > 0));
  const infection = dropSpecks(painted, columns, INFECTION_SPECK);
  const lungs = findLungs(lung, columns, image.rows / rows, image.columns / columns);
  const found = lungFlags(lung, columns, lungs);
  const flags = [...new Set([...guardFlags, ...found])];
  const involvement = measure(lung, infection, lungs.sides, flags);
  const extent = extentOf(involvement, (side) =>
    readers && readersExtent(readers, levels.infection, lungs.sides[side]));
  const zones =
    extent.total === null ? null : measureZones(infection, lungs.sides, columns);
  return {rows, columns, lung, infection, involvement, extent, zones, flags};
}

/**
 * Stretches a mask of the grid to an image: bilinear, then cut at one half.
 * @param {{rows: number, columns: number}} grid Size of the mask.
 * @param {Uint8Array} mask 0 or 1.
 * @param {number} rows Height of the image.
 * @param {number} columns Width of the image.
 * @returns {Uint8Array} 0 or 1, row by row.
 */
export function maskToImage(grid, mask, rows, columns) {
  if (grid.rows === rows && grid.columns === columns) return mask;
  const data = mask.map((x) => x * 255);
  const source = {rows: grid.rows, columns: grid.columns, data};
  return resizeLinear(source, rows, columns).data.map((x) => Number(x > 127));
}

function lungFlags(lung, columns, {sides, tilt}) {
  const share = lung.reduce((sum, x) => sum + x, 0) / lung.length;
  if (share === 0) return ['no_lungs_found'];
  const [low, high] = PLAUSIBLE_LUNGS;
  const found = {
    lung_area_implausible: !(low <= share && share <= high),
    lungs_not_separable: sides === null,
    film_rotated: tilt !== null && tilt > MOST_TILT,
    lungs_cut_off: edgeContact(lung, columns) > MOST_CONTACT,
  };
  return Object.keys(found).filter((flag) => found[flag]);
}

function measure(lung, infection, sides, flags) {
  const unknown = {total: null, right: null, left: null};
  if (flags.some((flag) => NOT_SCORED.includes(flag))) return unknown;
  const total = percentOf(infection, lung);
  if (!sides) return {...unknown, total};
  const [right, left] = sides.map((side) => percentOf(infection, side));
  return {total, right, left};
}

function extentOf(involvement, readersOf) {
  const [right, left] = [involvement.right, involvement.left].map((percent, side) =>
    percent === null ? null : readersOf(side) ?? extentScore(percent));
  const total = right === null ? null : Math.round(10 * (right + left)) / 10;
  return {total, right, left};
}
