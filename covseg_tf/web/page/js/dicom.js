/**
 * Radiographs from DICOM files. Parsing is dicom-parser's; see vendor/.
 * @module
 */

import {decodeFrame, hasCodec} from './codec.js';
import {readDisplay, readNumbers} from './display.js';
import {luma, turn} from './grey.js';
import {readIdentity} from './identity.js';
import {inflateDicom} from './inflate.js';
import {layoutOf, plainPixels, usedBits} from './layout.js';
import {withMark} from './preamble.js';
import {decodeRle} from './rle.js';
import {hanging, isLateral} from './view.js';
import {toGrey} from './window.js';

// What exported and scanned films are filed under, too.
const RADIOGRAPHY = ['CR', 'DX', 'DR', 'RG', 'OT', 'SC', ''];
// The last but one is deflated, and unpacked before it is parsed.
const UNCOMPRESSED = [
  '1.2.840.10008.1.2', '1.2.840.10008.1.2.1', '1.2.840.10008.1.2.1.99',
  '1.2.840.10008.1.2.2',
];
const RLE = '1.2.840.10008.1.2.5';
const JPEG_BASELINE = '1.2.840.10008.1.2.4.50';
const MOST_PIXELS = 64e6;
const CONVERT =
  'Convert it to uncompressed DICOM (dcmdjpeg, gdcmconv --raw) or to PNG.';

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
  const {dataset, syntax} = await parse(withMark(bytes), parser);
  const isColour = checkKind(dataset);
  const rows = dataset.uint16('x00280010');
  const columns = dataset.uint16('x00280011');
  if (!rows || !columns) throw new Error('The DICOM file has no rows or columns.');
  if (rows * columns > MOST_PIXELS) {
    throw new Error(`It has ${columns} x ${rows} pixels; the most is 64 million.`);
  }
  const {data, notes} = isColour
    ? {data: readColour(dataset, syntax, rows * columns), notes: ['colour']}
    : toGrey(
      await readPixels(dataset, syntax, parser, rows * columns, readJpeg),
      readDisplay(dataset, layoutOf(dataset, syntax)),
    );
  const {mirrored, upended} = hanging(dataset);
  if (mirrored) notes.push('mirrored');
  if (upended) notes.push('upended');
  const identity = identify ? readIdentity(dataset) : null;
  const orientation = mirrored ? (upended ? 3 : 2) : (upended ? 4 : 1);
  return {...turn({rows, columns, data}, orientation), notes, identity};
}

async function parse(bytes, parser) {
  try {
    const syntax = parser.readPart10Header(bytes).string('x00020010');
    const whole = await inflateDicom(bytes, parser);
    try {
      return {dataset: parser.parseDicom(whole), syntax};
    } catch (error) {
      // What follows the pixels need not mean anything.
      if (!error?.dataSet?.elements.x7fe00010) throw error;
      return {dataset: error.dataSet, syntax};
    }
  } catch (error) {
    throw new Error(`The DICOM file cannot be read (${reasonOf(error)}). ${CONVERT}`);
  }
}

/** Whether it is in colour; throws at what is no frontal radiograph of one frame. */
function checkKind(dataset) {
  const text = (tag) => (dataset.string(tag) ?? '').trim().toUpperCase();
  const modality = text('x00080060');
  if (!RADIOGRAPHY.includes(modality)) {
    throw new Error(`This is of modality ${modality}; a radiograph (CR, DX) is needed.`);
  }
  if (isLateral(dataset)) {
    throw new Error('A lateral view; only frontal films are scored.');
  }
  if (!dataset.elements.x7fe00010) throw new Error('The DICOM file holds no pixels.');
  const [stated] = readNumbers(dataset, 'x00280008');
  const frames = Number.isInteger(stated) && stated ? stated : 1;
  if (frames !== 1) throw new Error(`This holds ${frames} frames; one is needed.`);
  const kind = text('x00280004');
  const samples = dataset.uint16('x00280002') || 1;
  const isColour = samples === 3 && kind === 'RGB';
  if ((samples > 1 && !isColour) || kind.startsWith('PALETTE')) {
    throw new Error(`This is ${kind}; grey (MONOCHROME) or plain RGB is needed. ${CONVERT}`);
  }
  return isColour;
}

async function readPixels(dataset, syntax, parser, size, readJpeg) {
  const layout = layoutOf(dataset, syntax);
  const {bits, signed} = layout;
  if (![8, 16, 32].includes(bits)) {
    throw new Error(`Pixels of ${bits} bits are not read here. ${CONVERT}`);
  }
  const element = dataset.elements.x7fe00010;
  if (syntax === JPEG_BASELINE && bits === 8) {
    const {data} = await readJpeg(frameOf(dataset, parser, element));
    if (data.length !== size) throw new Error('Its JPEG picture has another size.');
    return data;
  }
  if (syntax === RLE && bits < 32) {
    const frame = frameOf(dataset, parser, element);
    return usedBits(decodeRle(frame, size, bits, signed), layout);
  }
  if (hasCodec(syntax)) {
    return decodeFrame(syntax, frameOf(dataset, parser, element), {
      rows: dataset.uint16('x00280010'),
      columns: dataset.uint16('x00280011'),
      bitsStored: layout.stored,
      signed,
    });
  }
  return usedBits(readPlain(dataset, syntax, size, layout), layout);
}

/** Red, green, blue in turn, or one plane after the other. */
function readColour(dataset, syntax, size) {
  const layout = layoutOf(dataset, syntax);
  if (layout.bits !== 8) {
    throw new Error(`Colours of ${layout.bits} bits are not read here. ${CONVERT}`);
  }
  const values = readPlain(dataset, syntax, 3 * size, {...layout, signed: false});
  if (dataset.uint16('x00280006') !== 1) return luma(values, 3);
  return luma(values.map((_, i) => values[(i % 3) * size + Math.floor(i / 3)]), 3);
}

function readPlain(dataset, syntax, size, layout) {
  if (!UNCOMPRESSED.includes(syntax)) {
    throw new Error(`Its compression (${syntax}) is not read here. ${CONVERT}`);
  }
  const {dataOffset, length} = dataset.elements.x7fe00010;
  const held = Math.min(length, dataset.byteArray.length - dataOffset);
  if (held < size * (layout.bits / 8)) {
    throw new Error('The DICOM file holds too few pixels; it is damaged.');
  }
  return plainPixels(dataset.byteArray, dataOffset, size, layout);
}

function frameOf(dataset, parser, element) {
  if (!element.encapsulatedPixelData) throw new Error('Its pixels are damaged.');
  const all = element.fragments.length;
  return parser.readEncapsulatedPixelDataFromFragments(dataset, element, 0, all);
}

function reasonOf(error) {
  return String(error?.exception ?? error?.message ?? error).replace(/\s+/g, ' ');
}
