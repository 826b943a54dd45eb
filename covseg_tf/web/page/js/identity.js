/**
 * Whose film a DICOM file is, for who asks for it; as `covseg_tf.imaging.dicom.identity`
 * and `covseg_tf.triage.record.patients`.
 * @module
 */

import {filters} from './template.js';
import {isScored, numbersOf, urgency} from './worklist.js';

const TAGS = {
  patient_id: 'x00100020',
  patient_name: 'x00100010',
  study_date: 'x00080020',
  view_position: 'x00185101',
  accession_number: 'x00080050',
};
const LONGEST = 200;
// What the standard calls them, and what browsers do.
const ENCODINGS = {
  'ISO_IR 192': 'utf-8', GB18030: 'gb18030', GBK: 'gbk', 'ISO_IR 13': 'shift_jis',
  'ISO_IR 101': 'iso-8859-2', 'ISO_IR 109': 'iso-8859-3', 'ISO_IR 110': 'iso-8859-4',
  'ISO_IR 144': 'iso-8859-5', 'ISO_IR 127': 'iso-8859-6', 'ISO_IR 126': 'iso-8859-7',
  'ISO_IR 138': 'iso-8859-8', 'ISO_IR 148': 'windows-1254', 'ISO_IR 166': 'windows-874',
  'ISO 2022 IR 87': 'iso-2022-jp', 'ISO 2022 IR 149': 'euc-kr',
};
const NAMED = {patient_id: 'patient ', accession_number: 'accession '};
const ORDER = [
  'patient_name', 'patient_id', 'study_date', 'view_position', 'accession_number',
];

/** Entries of an identity, in the order of the files. */
export const IDENTITY = Object.keys(TAGS);

/**
 * Reads patient, study and view.
 * @param {object} dataset From dicom-parser.
 * @returns {Object<string, string>} The keys of `IDENTITY`; empty where the header says
 *   nothing, the date as YYYY-MM-DD.
 */
export function readIdentity(dataset) {
  const sets = (dataset.string('x00080005') ?? '').split('\\').map((x) => x.trim());
  const encoding = sets.map((set) => ENCODINGS[set]).find(Boolean) ?? 'latin1';
  const decoder = new TextDecoder(encoding);
  const found = {};
  for (const [key, tag] of Object.entries(TAGS)) {
    const {dataOffset, length = 0} = dataset.elements[tag] ?? {};
    const bytes = dataset.byteArray.slice(dataOffset, dataOffset + length);
    found[key] = decoder.decode(bytes).replace(/\0+$/, '').trim().slice(0, LONGEST);
  }
  const digits = found.study_date.replaceAll('.', '');
  found.study_date = /^\d{8}$/.test(digits)
    ? [digits.slice(0, 4), digits.slice(4, 6), digits.slice(6)].join('-') : '';
  return found;
}

/**
 * Brings the scored films of a patient together, oldest first; what was not scored stays
 * on top, and a patient stands where the most involved film would.
 * @param {import('./worklist.js').Row[]} rows Rows in any order.
 * @returns {import('./worklist.js').Row[]} All of them. One that follows an older film of
 *   its patient has its `change` now.
 */
export function byPatient(rows) {
  const groups = new Map();
  for (const row of [...rows].sort(urgency)) {
    row.change = null;
    const key = patientOf(row) ?? row;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  // The rows came by urgency, so the groups did by their most urgent.
  return [...groups.values()].flatMap(withChanges);
}

/**
 * Whose film a row is of, in words.
 * @param {import('./worklist.js').Row} row A row of the worklist.
 * @returns {string} Words, or empty.
 */
export function whoIs({identity}) {
  return ORDER.filter((key) => identity?.[key])
    .map((key) => `${NAMED[key] ?? ''}${identity[key]}`).join(', ');
}

/**
 * How much more of the lung is involved than in the patient's film before.
 * @param {import('./worklist.js').Row} row A row from `byPatient`.
 * @returns {string} Words, or empty.
 */
export function changeOf({change = null}) {
  if (change === null) return '';
  const size = filters.rounded(Math.abs(change));
  const sign = size === 0 ? '±' : change > 0 ? '+' : '−';
  return `${sign}${size} % of the lung since the film before`;
}

function patientOf(row) {
  const {patient_id: id, patient_name: name} = row.identity ?? {};
  return isScored(row) && id ? JSON.stringify([id, name.toLowerCase()]) : null;
}

function withChanges(group) {
  if (group.length === 1) return group;
  const date = (row) => row.identity.study_date;
  const compare = (a, b) => (a < b ? -1 : Number(a > b));
  const dated = group.filter(date).sort((a, b) =>
    compare(date(a), date(b)) || compare(a.file, b.file));
  dated.forEach((row, index) => {
    const before = dated[index - 1];
    if (!before || date(before) === date(row)) return;
    row.change = numbersOf(row).total - numbersOf(before).total;
  });
  return [...dated, ...group.filter((row) => !date(row))];
}
