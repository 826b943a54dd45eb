/**
 * How a radiograph was taken and how it lies, as `covseg_tf.imaging.dicom.film`.
 * @module
 */

const LATERALS = ['LAT', 'LATERAL', 'LATERALE', 'LL', 'RL', 'LLAT', 'RLAT', 'SEITLICH'];
const DECUBITUS = ['DECUB', 'DECUBITUS', 'LLD', 'RLD'];
const FROM_THE_SIDE = ['LL', 'RL', 'LLD', 'RLD', 'L', 'R'];
const CODES = {
  // SNOMED CT, then the codes it replaced in DICOM.
  399348003: 'AP', 399182000: 'PA', 399173006: 'LL', 399198007: 'RL', 399067008: 'LL',
  'R-10206': 'AP', 'R-10214': 'PA', 'R-10236': 'LL', 'R-10232': 'RL',
};

/**
 * Whether a header says that it is a lateral view.
 * @param {object} dataset From dicom-parser.
 * @returns {boolean} Whether it does.
 */
export function isLateral(dataset) {
  return FROM_THE_SIDE.includes(viewOf(dataset));
}

/**
 * Where rows and columns of a frontal film run to, other than on one that hangs.
 * @param {object} dataset From dicom-parser.
 * @returns {{mirrored: boolean, upended: boolean}} To the right, and to the head.
 */
export function hanging(dataset) {
  const [rows, columns] = directions(dataset);
  const isFrontal = ['L', 'R'].includes(rows) && ['F', 'H'].includes(columns);
  return {mirrored: isFrontal && rows === 'R', upended: isFrontal && columns === 'H'};
}

function viewOf(dataset) {
  const view = textOf(dataset, 'x00185101');
  if (view.includes('LAT')) return 'LL';
  if (view) return view;
  for (const {dataSet: item} of dataset.elements.x00540220?.items ?? []) {
    const found = CODES[textOf(item, 'x00080100')] ?? inWords(textOf(item, 'x00080104'));
    if (found) return found;
  }
  if (['A', 'P'].includes(directions(dataset)[0])) return 'LL';
  return ofSeries(textOf(dataset, 'x0008103e'));
}

function textOf(dataset, tag) {
  return (dataset.string(tag) ?? '').trim().toUpperCase();
}

function inWords(meaning) {
  if (meaning.includes('LATERAL')) return meaning.includes('RIGHT') ? 'RL' : 'LL';
  if (meaning.includes('POSTERO')) return 'PA';
  return meaning.includes('ANTERO') ? 'AP' : '';
}

/** The view that a description names; nothing if it names a lateral and others. */
function ofSeries(description) {
  const words = description.match(/[A-Z]+/g) ?? [];
  const names = (some) => words.some((word) => some.includes(word));
  if (names(DECUBITUS)) return ''; // lies on the side, seen from the front
  return names(LATERALS) && !names(['AP', 'PA']) ? 'LL' : '';
}

function directions(dataset) {
  const values = textOf(dataset, 'x00200020').split('\\').map((x) => x.trim()[0] ?? '');
  return values.length === 2 ? values : ['', ''];
}
