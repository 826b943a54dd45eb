/**
 * The worklist as files to keep: HTML, CSV and JSON.
 * @module
 */

import {extentOf, percent, sentencesOf, zonesOf} from './flags.js';
import {drawLayers, flatten} from './overlay.js';
import {numbersOf} from './worklist.js';

const COLUMNS = [
  'file', 'involved_percent', 'involved_percent_right', 'involved_percent_left',
  'extent', 'extent_right', 'extent_left', 'zones', 'rows', 'columns', 'flags',
  'notes', 'error', 'finished',
];
const STYLE = `:root{color-scheme:light dark}
body{font:16px/1.45 system-ui,sans-serif;max-width:68rem;margin:0 auto;padding:1rem}
h1{font-size:1.4rem}.notice{border-left:4px solid #c2610c;padding:.25rem .75rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #8886}
.n{text-align:right;white-space:nowrap}.file{overflow-wrap:anywhere}
.cards{display:grid;gap:1rem;margin-top:1.5rem;
grid-template-columns:repeat(auto-fill,minmax(18rem,1fr))}
.card{border:1px solid #8886;border-radius:.5rem;padding:.75rem;break-inside:avoid}
.card h2{font-size:1rem;margin:0 0 .5rem;overflow-wrap:anywhere}
.card img{width:100%;display:block;background:#000}
.card .plain,.card input:checked~.overlay{display:none}
.card input:checked~.plain{display:block}
@media print{.card label,.card input{display:none}body{max-width:none}}`;

/**
 * The report as one HTML page without scripts.
 * @param {import('./worklist.js').Row[]} rows Rows in the worklist's order.
 * @param {string} model The model's name.
 * @param {string} when Date and time, in words.
 * @returns {Promise<string>} HTML; whatever comes from a file is escaped.
 */
export async function htmlReport(rows, model, when) {
  const scored = rows.filter((row) => numbersOf(row).total !== null).length;
  const table = rows.map(tableRow).join('\n');
  const cards = [];
  // One after the other: a few hundred films at once would fill the memory.
  for (const [index, row] of rows.entries()) cards.push(await card(row, index));
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>covseg triage: ${rows.length} images</title>
<style>${STYLE}</style></head><body>
<h1>Chest X-ray triage</h1>
<p>${rows.length} images, ${scored} scored with the model <b>${escaped(model)}</b> in
the browser, ${escaped(when)}, most involved first.</p>
<p class="notice"><b>Research use only.</b> Not a medical device. Percent of the
<i>projected</i> lung area, not of lung volume. Every image needs a reader.</p>
<table><thead><tr><th class="n">#</th><th>Image</th><th class="n">Involved</th>
<th class="n">Right lung</th><th class="n">Left lung</th><th class="n">Extent</th>
<th class="n">Zones</th><th>Note</th></tr></thead>
<tbody>
${table}
</tbody></table>
<div class="cards">
${cards.join('\n')}
</div>
<p>Cyan line: lungs as found. Amber: infection as found. Left and right are the
patient's. Extent: 0 to 4 for each lung. Zones: thirds of a lung more than 5 % involved,
of six.</p>
</body></html>
`;
}

/**
 * The worklist as a table for spreadsheets.
 * @param {import('./worklist.js').Row[]} rows Rows in the worklist's order.
 * @returns {string} CSV with a line of names.
 */
export function csvReport(rows) {
  const lines = rows.map((row) => {
    const entry = entryOf(row);
    return COLUMNS.map((name) => cell(entry[name]));
  });
  return [COLUMNS, ...lines].map((line) => `${line.join(',')}\r\n`).join('');
}

/**
 * The worklist for programs, in the format of `covseg triage`.
 * @param {import('./worklist.js').Row[]} rows Rows in the worklist's order.
 * @param {object} bundle The model's `bundle.json`.
 * @param {string} version Of covseg.
 * @returns {string} JSON, as `covseg_tf/triage/record/worklist.schema.json` describes it.
 */
export function jsonReport(rows, bundle, version) {
  const times = rows.map((row) => row.finished).sort();
  const document = {
    format: 'covseg_triage',
    format_version: 2,
    model: bundle.name,
    model_sha256: bundle.files['model.tflite'],
    modality: 'xray',
    threshold: bundle.threshold,
    covseg_version: version,
    started: times[0],
    finished: times.at(-1),
    research_use_only: true,
    images: rows.map(entryOf),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/**
 * Escapes text for HTML, attributes included.
 * @param {string} text Any text.
 * @returns {string} The same as HTML shows it.
 */
export function escaped(text) {
  const names = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;'};
  return String(text).replace(/[&<>"']/g, (mark) => names[mark]);
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
  };
}

function cell(value) {
  if (value === null || value === undefined) return '';
  const text = Array.isArray(value) ? value.join(' ') : String(value);
  // A spreadsheet runs a cell that begins like a formula.
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function tableRow(row, index) {
  const {total, right, left} = numbersOf(row);
  const name = escaped(row.file);
  const link = row.shown ? `<a href="#image-${index + 1}">${name}</a>` : name;
  return `<tr><td class="n">${index + 1}</td><td class="file">${link}</td>
<td class="n">${percent(total)}</td><td class="n">${percent(right)}</td>
<td class="n">${percent(left)}</td><td class="n">${extentOf(row)}</td>
<td class="n">${zonesOf(row)}</td><td>${escaped(sentencesOf(row).join(' '))}</td></tr>`;
}

async function card(row, index) {
  if (!row.shown) return '';
  const name = escaped(row.file);
  const {total, right, left} = numbersOf(row);
  const layers = drawLayers(row.shown, row.found);
  const [plain, overlay] = await Promise.all(
    [false, true].map((overlaid) => dataUrl(flatten(layers, overlaid))));
  return `<section class="card" id="image-${index + 1}"><h2>${index + 1}. ${name}</h2>
<input type="checkbox" id="plain-${index + 1}">
<label for="plain-${index + 1}">Show without overlay</label>
<img class="overlay" alt="Overlay of ${name}" src="${overlay}">
<img class="plain" alt="${name}" src="${plain}">
<p>Involved ${percent(total)} (right ${percent(right)}, left ${percent(left)})</p>
<p>${escaped(sentencesOf(row).join(' '))}</p></section>`;
}

async function dataUrl(canvas) {
  const blob = await canvas.convertToBlob({type: 'image/jpeg', quality: 0.85});
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = '';
  for (let i = 0; i < bytes.length; i += 8192) {
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return `data:image/jpeg;base64,${btoa(text)}`;
}
