/**
 * Radiographs from DICOM files. Parsing is dicom-parser's; see vendor/.
 * @module
 */

import {decodeFrame, hasCodec} from './codec.js';
import {turn} from './grey.js';
import {readIdentity} from './identity.js';
import {inflateDicom} from './inflate.js';
import {decodeRle} from './rle.js';
import {toGrey} from './window.js';

const RADIOGRAPHY = ['CR', 'DX', 'DR', 'RG', 'OT', ''];
// The last is deflated, and unpacked before it is parsed.
const UNCOMPRESSED = [
  '1.2.840.10008.1.2', '1.2.840.10008.1.2.1', '1.2.840.10008.1.2.1.99',
];
const RLE = '1.2.840.10008.1.2.5';
const JPEG_BASELINE = '1.2.840.10008.1.2.4.50';
const MOST_PIXELS = 64e6;
// Views from the side in ViewPosition, beside LAT, LT LAT, LATERAL, ...
const LATERAL = ['LL', 'RL', 'LLD', 'RLD', 'L', 'R'];
const CONVERT =
  'Convert it to uncompressed DICOM (dcmdjpeg, gdcmconv --raw) or to PNG.';

/**
 * Tells a DICOM file by its preamble.
 * @param {Uint8Array} bytes The file.
 * @returns {boolean} Whether it is one.
 */
export function isDicom(bytes) {
  return String.fromCharCode(...bytes.subarray(128, 132)) === 'DICM';
}

/**
 * Reads a radiograph as it is looked at, lungs dark.
 * @param {Uint8Array} bytes The file.
 * @param {object} parser The `dicomParser` library.
 * @param {(jpeg: Uint8Array) => Promise<import('./grey.js').Grey>} readJpeg
 *   Decodes a JPEG picture, for files that hold one.
 * @param {boolean} identify Whether to read whose film it is.
 * @returns {Promise<import('./grey.js').Grey &
 *   {notes: string[], identity: ?object}>} Its pixels, and what was done to them,
 *   `mirrored` if they were mirrored back to how films are hung; and whose film it is.
 * @throws {Error} If it is no readable radiograph, in words for the reader.
 */
export async function readDicom(bytes, parser, readJpeg, identify = false) {
  let dataset;
  try {
    dataset = parser.parseDicom(await inflateDicom(bytes, parser));
  } catch (error) {
    throw new Error(`The DICOM file cannot be read (${reasonOf(error)}). ${CONVERT}`);
  }
  checkKind(dataset);
  const rows = dataset.uint16('x00280010');
  const columns = dataset.uint16('x00280011');
  if (!rows || !columns) throw new Error('The DICOM file has no rows or columns.');
  if (rows * columns > MOST_PIXELS) {
    throw new Error(`It has ${columns} x ${rows} pixels; the most is 64 million.`);
  }
  const pixels = await readPixels(dataset, parser, rows * columns, readJpeg);
  const {data, notes} = toGrey(pixels, readDisplay(dataset));
  const mirrored = isMirrored(dataset);
  if (mirrored) notes.push('mirrored');
  const identity = identify ? readIdentity(dataset) : null;
  return {...turn({rows, columns, data}, mirrored ? 2 : 1), notes, identity};
}

/** Whether rows run to the patient's right and columns to the feet. */
function isMirrored(dataset) {
  return /^\s*R[^\\]*\\\s*F[^\\]*$/i.test(dataset.string('x00200020') ?? '');
}

function checkKind(dataset) {
  const modality = (dataset.string('x00080060') ?? '').trim();
  if (!RADIOGRAPHY.includes(modality)) {
    throw new Error(`This is of modality ${modality}; a radiograph (CR, DX) is needed.`);
  }
  const view = (dataset.string('x00185101') ?? '').trim().toUpperCase();
  if (LATERAL.includes(view) || view.includes('LAT')) {
    throw new Error('A lateral view; only frontal films are scored.');
  }
  if (!dataset.elements.x7fe00010) throw new Error('The DICOM file holds no pixels.');
  const frames = dataset.intString('x00280008') ?? 1;
  if (frames !== 1) throw new Error(`This holds ${frames} frames; one is needed.`);
  const kind = dataset.string('x00280004');
  if (kind !== 'MONOCHROME1' && kind !== 'MONOCHROME2') {
    throw new Error(`This is ${kind}; a grey radiograph (MONOCHROME) is needed.`);
  }
}

async function readPixels(dataset, parser, size, readJpeg) {
  const syntax = dataset.string('x00020010');
  const bits = dataset.uint16('x00280100');
  if (bits !== 8 && bits !== 16) {
    throw new Error(`Pixels of ${bits} bits are not read here. ${CONVERT}`);
  }
  const element = dataset.elements.x7fe00010;
  if (syntax === JPEG_BASELINE && bits === 8) {
    const {data} = await readJpeg(frameOf(dataset, parser, element));
    if (data.length !== size) throw new Error('Its JPEG picture has another size.');
    return data;
  }
  if (syntax === RLE) {
    return decodeRle(frameOf(dataset, parser, element), size, bits, isSigned(dataset));
  }
  if (hasCodec(syntax)) {
    return decodeFrame(syntax, frameOf(dataset, parser, element), {
      rows: dataset.uint16('x00280010'),
      columns: dataset.uint16('x00280011'),
      bitsStored: dataset.uint16('x00280101'),
      signed: isSigned(dataset),
    });
  }
  if (!UNCOMPRESSED.includes(syntax)) {
    throw new Error(`Its compression (${syntax}) is not read here. ${CONVERT}`);
  }
  return readPlain(dataset, element, size, bits);
}

function frameOf(dataset, parser, element) {
  if (!element.encapsulatedPixelData) throw new Error('Its pixels are damaged.');
  const all = element.fragments.length;
  return parser.readEncapsulatedPixelDataFromFragments(dataset, element, 0, all);
}

function readPlain(dataset, element, size, bits) {
  if (element.length < size * (bits / 8)) {
    throw new Error('The DICOM file holds too few pixels; it is damaged.');
  }
  const start = dataset.byteArray.byteOffset + element.dataOffset;
  // Sliced, so that 16-bit numbers begin at an even address.
  const buffer = dataset.byteArray.buffer.slice(start, start + size * (bits / 8));
  if (bits === 8) return new (isSigned(dataset) ? Int8Array : Uint8Array)(buffer);
  return new (isSigned(dataset) ? Int16Array : Uint16Array)(buffer);
}

function isSigned(dataset) {
  return dataset.uint16('x00280103') === 1;
}

function readDisplay(dataset) {
  const numbers = (tag) => (dataset.string(tag) ?? '').split('\\').map(toNumber);
  const isFilled = (tag) => (dataset.string(tag) ?? '').trim() !== '';
  const one = (tag) => (dataset.elements[tag] ? numbers(tag)[0] : null);
  const [centers, widths] = ['x00281050', 'x00281051'].map((tag) =>
    (isFilled(tag) ? numbers(tag) : []));
  const modality = itemsOf(dataset, 'x00283000').slice(0, 1);
  const [modalityTable = null] = modality.map((item) => readTable(dataset, item));
  return {
    bitsStored: dataset.uint16('x00280101'),
    signed: isSigned(dataset),
    slope: one('x00281053'),
    intercept: one('x00281052'),
    modalityTable,
    modalityDamaged: modality.length > 0 && !modalityTable,
    voiTables: itemsOf(dataset, 'x00283010').map((item) => readTable(dataset, item)),
    windows: widths.length ? centers.map((center, i) => [center, widths[i]]) : [],
    shape: (dataset.string('x00281056') ?? '').trim().toUpperCase(),
    padding: readPadding(dataset),
    inverted: dataset.string('x00280004') === 'MONOCHROME1',
  };
}

/** A decimal string of the standard; NaN for an empty one or a comma. */
function toNumber(text) {
  return text.trim() === '' ? NaN : Number(text);
}

function itemsOf(dataset, tag) {
  return (dataset.elements[tag]?.items ?? []).map((item) => item.dataSet);
}

function readPadding(dataset) {
  const read = isSigned(dataset) ? 'int16' : 'uint16';
  const first = dataset[read]('x00280120');
  if (first === undefined) return null;
  const last = dataset[read]('x00280121') ?? first;
  return [Math.min(first, last), Math.max(first, last)];
}

/** A table, or `null` if it is cut short. */
function readTable(dataset, item) {
  if (!item?.elements.x00283002 || !item.elements.x00283006) return null;
  const signed = isSigned(dataset);
  const length = item.uint16('x00283002', 0) || 65536;
  const first = item[signed ? 'int16' : 'uint16']('x00283002', 1);
  const bits = item.uint16('x00283002', 2);
  const {dataOffset, length: bytes} = item.elements.x00283006;
  if (bytes < 2 * length) return null;
  const start = item.byteArray.byteOffset + dataOffset;
  const buffer = item.byteArray.buffer.slice(start, start + 2 * length);
  return {first, bits, data: new Uint16Array(buffer)};
}

function reasonOf(error) {
  return String(error?.exception ?? error?.message ?? error).replace(/\s+/g, ' ');
}
