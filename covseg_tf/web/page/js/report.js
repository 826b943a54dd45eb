/**
 * The worklist as files to keep: HTML, CSV and JSON.
 * @module
 */

import {headings, noteOf, remarksOf, sidesAreSure} from './flags.js';
import {changeOf, IDENTITY, whoIs} from './identity.js';
import {isScored, numbersOf} from './worklist.js';

const COLUMNS = [
  'file', 'involved_percent', 'involved_percent_right', 'involved_percent_left',
  'extent', 'extent_right', 'extent_left', 'zones', 'rows', 'columns', 'flags',
  'notes', 'error', 'finished',
];

const LONGEST_TASK = 25; // milliseconds
// As `covseg_tf/triage/report/html.py` has them: cards of those that were scored, and of
// those that were not; characters of the pictures of each.
const MOST_CARDS = 200;
const MOST_PICTURES = {scored: 4_666_666, unscored: 2_333_333};

/**
 * The report as one HTML page without scripts, by the template of `covseg triage`.
 * @param {import('./worklist.js').Row[]} rows Rows in the worklist's order.
 * @param {object} segmenter What `Desk.facts` says of it.
 * @param {string} card The model's card.
 * @returns {Promise<Blob>} HTML; whatever comes from a file is escaped.
 */
export async function htmlReport(rows, segmenter, card) {
  const {render} = await import('./report_template.js');
  const pieces = [];
  let last = performance.now();
  for await (const piece of render(contextOf(rows, segmenter, card))) {
    pieces.push(piece);
    if (performance.now() - last < LONGEST_TASK) continue;
    await new Promise((resolve) => setTimeout(resolve)); // the page answers meanwhile
    last = performance.now();
  }
  return new Blob(pieces, {type: 'text/html'});
}

/**
 * What the template is filled with.
 * @param {import('./worklist.js').Row[]} rows Rows in the worklist's order.
 * @param {object} segmenter With `bundle`, `version` and `trust`.
 * @param {string} card The model's card.
 * @returns {object} As `report_context` of `covseg_tf/triage/report/html.py`.
 */
export function contextOf(rows, {bundle, version, trust}, card) {
  const above = headings(rows);
  const views = rows.map((row, index) => viewOf(row, index + 1, above[index]));
  const cards = cardsOf(rows, views);
  const kinds = views.flatMap((view) => view.kinds.split(' '));
  const tally = {all: rows.length};
  for (const kind of ['scored', 'flagged', 'unread']) {
    tally[kind] = kinds.filter((each) => each === kind).length;
  }
  const times = rows.map((row) => row.finished).sort();
  return {
    model: bundle.name,
    model_sha256: bundle.files['model.tflite'],
    model_card: card.replace(/\n$/, '').split('\n'),
    modality: 'xray',
    threshold: bundle.threshold,
    version,
    place: ' in the browser',
    started: times[0],
    finished: times.at(-1).replace('T', ' ').replace('Z', ' UTC'),
    trust,
    tally,
    most_cards: MOST_CARDS,
    left_out: cards.length < rows.length,
    lines_left_out: 0,
    journal: '',
    rows: views,
    cards,
  };
}

/** The cards that a phone can open; a line without one loses its link. */
function cardsOf(rows, views) {
  const count = {scored: 0, unscored: 0};
  const left = {...MOST_PICTURES};
  const cards = [];
  for (const [index, view] of views.entries()) {
    const {pictures} = rows[index];
    const block = isScored(rows[index]) ? 'scored' : 'unscored';
    count[block] += 1;
    if (count[block] > MOST_CARDS) {
      view.link = '';
      continue;
    }
    left[block] -= pictures ? pictures.film.length + pictures.paint.length : 0;
    cards.push({...view, ...(left[block] < 0 ? {elsewhere: true} : pictures)});
  }
  return cards;
}

/**
 * The worklist as a table for spreadsheets.
 * @param {import('./worklist.js').Row[]} rows Rows in the worklist's order.
 * @returns {string} CSV with a line of names.
 */
export function csvReport(rows) {
  const who = rows.some((row) => row.identity) ? [...IDENTITY, 'change_percent'] : [];
  const columns = [...COLUMNS, ...who];
  const lines = rows.map((row) => {
    const entry = {...row.identity, ...entryOf(row)};
    return columns.map((name) => cell(entry[name]));
  });
  return [columns, ...lines].map((line) => `${line.join(',')}\r\n`).join('');
}

/**
 * The worklist for programs, in the format of `covseg triage`.
 * @param {import('./worklist.js').Row[]} rows Rows in the worklist's order.
 * @param {object} bundle The model's `bundle.json`.
 * @param {string} version Of covseg.
 * @param {Object<string, number>} leftOut How many files of folders have no row, by
 *   reason.
 * @returns {string} JSON, as `covseg_tf/triage/record/worklist.schema.json` describes it.
 */
export function jsonReport(rows, bundle, version, leftOut = {}) {
  const times = rows.map((row) => row.finished).sort();
  const document = {
    format: 'covseg_triage',
    format_version: 3,
    model: bundle.name,
    model_sha256: bundle.files['model.tflite'],
    modality: 'xray',
    threshold: bundle.threshold,
    covseg_version: version,
    started: times[0],
    finished: times.at(-1),
    left_out: leftOut,
    research_use_only: true,
    images: rows.map(entryOf),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/**
 * Rounds to two decimals as Python's `round` does, exact halves to even.
 * @param {?number} value A percentage or `null`.
 * @returns {?number} Likewise.
 */
export function rounded(value) {
  if (value === null) return null;
  const isHalf = Number.isInteger(value * 8) && !Number.isInteger(value * 4);
  if (!isHalf) return Number(value.toFixed(2));
  const below = Math.floor(value * 100);
  return (below % 2 === 0 ? below : below + 1) / 100;
}

function entryOf(row) {
  const {total, right, left} = numbersOf(row);
  const {extent, zones} = row.found ?? {};
  const zonePercents = zones && Object.fromEntries(
    Object.entries(zones.percents).map(([name, value]) => [name, rounded(value)]));
  return {
    file: row.file,
    kind: 'film',
    involved_percent: rounded(total),
    involved_percent_right: rounded(right),
    involved_percent_left: rounded(left),
    extent: extent?.total ?? null,
    extent_right: extent?.right ?? null,
    extent_left: extent?.left ?? null,
    zones: zones?.count ?? null,
    zone_percents: zonePercents ?? null,
    zone_threshold: zones?.threshold ?? null,
    // Of volumes, and of files that a browser does not write.
    lung_ml: null, infection_ml: null, slices: null, shown_slice: null,
    rows: row.rows || null,
    columns: row.columns || null,
    flags: row.flags,
    notes: row.notes,
    error: row.error,
    lung_mask: '', infection_mask: '', overlay: '', dicom_seg: '', dicom_overlay: '',
    finished: row.finished,
    ...(row.identity && {
      identity: row.identity, change_percent: rounded(row.change ?? null),
    }),
  };
}

function cell(value) {
  if (value === null || value === undefined) return '';
  const text = Array.isArray(value) ? value.join(' ') : String(value);
  // A spreadsheet runs a cell that begins like a formula.
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function viewOf(row, number, heading) {
  const {file} = row;
  const place = file.replace(/\/+$/, '').lastIndexOf('/');
  return {
    ...entryOf(row),
    number,
    heading,
    name: place < 0 ? file : file.replace(/\/+$/, '').slice(place + 1),
    folder: place < 0 ? '' : file.slice(0, place) || '/',
    link: `#image-${number}`,
    kinds: kindsOf(row),
    note: noteOf(row),
    who: whoIs(row),
    change: changeOf(row),
    remarks: remarksOf(row),
    has_sides: sidesAreSure(row),
    shown: file,
    film: '', paint: '', elsewhere: '', width: 0, height: 0,
  };
}

function kindsOf(row) {
  if (row.error) return 'unread';
  return [noteOf(row) && 'flagged', isScored(row) && 'scored'].filter(Boolean).join(' ');
}
