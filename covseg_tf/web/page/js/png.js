/**
 * PNG files at their own depth: a browser's canvas keeps 8 bits only, and mixes
 * transparency into the colours.
 * @module
 */

import {stretchWithinEnds} from './contrast.js';
import {luma, turn} from './grey.js';
import {tiffOrientation} from './exif.js';

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4};
const DEPTHS = {0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16]};
// First row and column, and the steps, of each pass of an interlaced file.
const PASSES = [
  [0, 0, 8, 8], [0, 4, 8, 8], [4, 0, 8, 4], [0, 2, 4, 4],
  [2, 0, 4, 2], [0, 1, 2, 2], [1, 0, 2, 1],
];

/**
 * Tells a PNG file by its first bytes.
 * @param {Uint8Array} bytes The file.
 * @returns {boolean} Whether it is one.
 */
export function isPng(bytes) {
  return SIGNATURE.every((byte, i) => bytes[i] === byte);
}

/**
 * Size of a PNG file, from its header.
 * @param {Uint8Array} bytes The file.
 * @returns {{rows: number, columns: number}} Height and width in pixels.
 */
export function pngSize(bytes) {
  if (bytes.length < 33) throw new Error('The PNG file is damaged: it ends early.');
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {rows: view.getUint32(20), columns: view.getUint32(16)};
}

/**
 * Decodes a PNG file to what the network reads from.
 * @param {Uint8Array} bytes The file.
 * @returns {Promise<import('./grey.js').Grey & {notes: string[]}>} Grey pixels;
 *   `stretched` says that 16 bits were stretched to 8.
 * @throws {Error} If the file is damaged, in words for the reader.
 */
export async function readPng(bytes) {
  const {header, palette, data, orientation} = readChunks(bytes);
  const raw = await inflate(data);
  const samples = unpack(raw, header);
  const {rows, columns, depth, kind} = header;
  const stretched = depth === 16;
  const isColour = kind === 2 || kind === 3 || kind === 6;
  let values = kind === 3 ? lookUp(samples, palette) : dropAlpha(samples, kind);
  if (stretched) values = stretchWithinEnds(values);
  const notes = stretched ? ['stretched'] : [];
  const grey = isColour ? luma(values, 3) : values;
  return {...turn({rows, columns, data: grey}, orientation), notes};
}

function readChunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const parts = [];
  let [header, palette, orientation, ended] = [null, null, 1, false];
  for (let at = 8; !ended && at + 12 <= bytes.length;) {
    const length = view.getUint32(at);
    if (at + 12 + length > bytes.length) break;
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + length);
    const isCritical = name[0] < 'a';
    const sum = crc32(bytes.subarray(at + 4, at + 8 + length));
    if (isCritical && sum !== view.getUint32(at + 8 + length)) {
      throw damaged('a checksum does not match');
    }
    if (name === 'IHDR') header = readHeader(body);
    if (name === 'PLTE') palette = body;
    if (name === 'IDAT') parts.push(body);
    if (name === 'eXIf') orientation = tiffOrientation(body);
    ended = name === 'IEND';
    at += 12 + length;
  }
  if (!header || !parts.length || !ended) throw damaged('it ends early');
  if (header.kind === 3 && !palette) throw damaged('it has no palette');
  return {header, palette, data: new Blob(parts), orientation};
}

function readHeader(body) {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  if (body.length !== 13) throw damaged('its header is wrong');
  const [columns, rows] = [view.getUint32(0), view.getUint32(4)];
  const [depth, kind, method, filter, interlaced] = body.subarray(8);
  const known = DEPTHS[kind]?.includes(depth);
  if (!known || method || filter || interlaced > 1 || !rows || !columns) {
    throw damaged('its header is wrong');
  }
  return {rows, columns, depth, kind, interlaced, channels: CHANNELS[kind]};
}

async function inflate(blob) {
  try {
    const stream = blob.stream().pipeThrough(new DecompressionStream('deflate'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw damaged('its pixels cannot be unpacked');
  }
}

function unpack(raw, header) {
  const {rows, columns, depth, channels, kind} = header;
  const size = rows * columns * channels;
  const samples = depth === 16 ? new Uint16Array(size) : new Uint8Array(size);
  const passes = header.interlaced ? PASSES : [[0, 0, 1, 1]];
  const factor = kind === 3 || depth >= 8 ? 1 : 255 / (2 ** depth - 1);
  let at = 0;
  for (const [top, left, down, across] of passes) {
    const height = Math.max(0, Math.ceil((rows - top) / down));
    const width = Math.max(0, Math.ceil((columns - left) / across));
    if (!height || !width) continue;
    const stride = Math.ceil((width * channels * depth) / 8);
    if (at + height * (stride + 1) > raw.length) throw damaged('it ends early');
    let above = new Uint8Array(stride);
    for (let y = 0; y < height; y++) {
      const line = raw.subarray(at + 1, at + 1 + stride);
      unfilter(line, above, raw[at], Math.max(1, (channels * depth) / 8));
      above = line;
      at += stride + 1;
      const start = ((top + y * down) * columns + left) * channels;
      for (let i = 0; i < width * channels; i++) {
        const x = Math.floor(i / channels);
        const place = start + x * across * channels + (i % channels);
        samples[place] = sampleAt(line, i, depth) * factor;
      }
    }
  }
  return samples;
}

function sampleAt(line, index, depth) {
  if (depth === 8) return line[index];
  if (depth === 16) return line[2 * index] * 256 + line[2 * index + 1];
  const bit = index * depth;
  return (line[bit >> 3] >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
}

function unfilter(line, above, kind, step) {
  if (kind > 4) throw damaged('it has an unknown filter');
  if (kind === 0) return;
  for (let i = 0; i < line.length; i++) {
    const left = i >= step ? line[i - step] : 0;
    if (kind === 1) line[i] += left;
    else if (kind === 2) line[i] += above[i];
    else if (kind === 3) line[i] += (left + above[i]) >> 1;
    else line[i] += paeth(left, above[i], i >= step ? above[i - step] : 0);
  }
}

function paeth(left, above, corner) {
  const ofLeft = Math.abs(above - corner);
  const ofAbove = Math.abs(left - corner);
  const ofCorner = Math.abs(left + above - 2 * corner);
  if (ofLeft <= ofAbove && ofLeft <= ofCorner) return left;
  return ofAbove <= ofCorner ? above : corner;
}

function lookUp(samples, palette) {
  const colours = new Uint8Array(samples.length * 3);
  samples.forEach((index, i) => {
    for (let c = 0; c < 3; c++) colours[3 * i + c] = palette[3 * index + c];
  });
  return colours;
}

/** Drops the transparency, as OpenCV does: it is no part of the film. */
function dropAlpha(samples, kind) {
  if (kind !== 4 && kind !== 6) return samples;
  const [from, to] = kind === 4 ? [2, 1] : [4, 3];
  const out = new samples.constructor((samples.length / from) * to);
  for (let i = 0, j = 0; i < out.length; j += from) {
    for (let c = 0; c < to; c++) out[i++] = samples[j + c];
  }
  return out;
}

const TABLE = Uint32Array.from({length: 256}, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) {
    value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  }
  return value;
});

function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

function damaged(reason) {
  return new Error(`The PNG file is damaged: ${reason}.`);
}
