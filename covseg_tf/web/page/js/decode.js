/**
 * Files and camera pictures to grey pixels.
 * @module
 */

import {widen} from './contrast.js';
import {isCameraPicture} from './correct.js';
import {readDicom} from './dicom.js';
import {luma} from './grey.js';
import {isJpeg, readWholeJpeg} from './jpeg.js';
import {isPng, pngSize, readPng} from './png.js';
import {isDicom} from './preamble.js';

const LARGEST_FILE = 256 * 2 ** 20;
const MOST_PIXELS = 64e6;

/**
 * Reads an image file of any kind that the page knows.
 * @param {Blob} file PNG, JPEG, WebP, BMP or DICOM.
 * @param {{identify: boolean}} options Whether to read whose film a DICOM is.
 * @returns {Promise<import('./grey.js').Grey &
 *   {notes?: string[], identity?: object}>} Its pixels, and what was done to them.
 * @throws {Error} If it cannot be read, in words for the reader.
 */
export async function readFile(file, {identify = false} = {}) {
  if (file.size === 0) throw new Error('The file is empty.');
  if (file.size > LARGEST_FILE) throw new Error('The file is larger than 256 MiB.');
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (isDicom(bytes)) {
    return readDicom(bytes, globalThis.dicomParser, readJpeg, identify);
  }
  const picture = await readPicture(bytes, file);
  const wide = widen(picture);
  if (wide === picture) return picture;
  return {...wide, notes: [...new Set([...(picture.notes ?? []), 'stretched'])]};
}

function readPicture(bytes, file) {
  if (isPng(bytes)) {
    checkSize(pngSize(bytes));
    return readPng(bytes);
  }
  if (isJpeg(bytes)) return readJpeg(bytes);
  checkWhole(bytes);
  return readByBrowser(file);
}

/**
 * Takes the pixels of anything that can be drawn.
 * @param {CanvasImageSource} source A bitmap or a playing video.
 * @param {number} rows Its height.
 * @param {number} columns Its width.
 * @returns {import('./grey.js').Grey & {notes?: string[]}} Its pixels, and that a
 *   camera took it.
 */
export function readDrawn(source, rows, columns) {
  checkSize({rows, columns});
  const canvas = new OffscreenCanvas(columns, rows);
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.drawImage(source, 0, 0);
  const {data} = context.getImageData(0, 0, columns, rows);
  const picture = {rows, columns, data: luma(data, 4)};
  return isCameraPicture(data, rows, columns) ? {...picture, notes: ['camera']} : picture;
}

async function readByBrowser(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, {
      // The file's own numbers, not this screen's.
      colorSpaceConversion: 'none',
      imageOrientation: 'from-image',
      premultiplyAlpha: 'none',
    });
  } catch {
    throw new Error('It is damaged or no image. Give PNG, JPEG or DICOM.');
  }
  try {
    return readDrawn(bitmap, bitmap.height, bitmap.width);
  } finally {
    bitmap.close();
  }
}

function readJpeg(bytes) {
  return readWholeJpeg(bytes, MOST_PIXELS, (whole) =>
    readByBrowser(new Blob([whole], {type: 'image/jpeg'})));
}

function checkSize({rows, columns}) {
  if (rows * columns > MOST_PIXELS) {
    throw new Error(`It has ${columns} x ${rows} pixels; the most is 64 million.`);
  }
}

/** Refuses what a browser might show though half of it is missing. */
function checkWhole(bytes) {
  const text = (from, to) => String.fromCharCode(...bytes.subarray(from, to));
  if (['II*\0', 'MM\0*'].includes(text(0, 4))) {
    throw new Error('TIFF is not read here. Save it as PNG.');
  }
  const isBitmap = text(0, 2) === 'BM';
  if (!isBitmap && (text(0, 4) !== 'RIFF' || text(8, 12) !== 'WEBP')) {
    throw new Error('It is damaged or no image. Give PNG, JPEG or DICOM.');
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const stated = isBitmap ? view.getUint32(2, true) : view.getUint32(4, true) + 8;
  if (stated > bytes.length) throw new Error('The file is cut short; give all of it.');
}
