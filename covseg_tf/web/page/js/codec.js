/**
 * JPEG 2000 and JPEG-LS inside DICOM. Decoding is OpenJPEG's and CharLS's; see vendor/.
 * @module
 */

const FOLDER = new URL('../vendor/codecs/', import.meta.url);
const DECODERS = {openjpeg: 'J2KDecoder', charls: 'JpegLSDecoder'};
// Transfer syntaxes; of JPEG-LS and JPEG 2000 without loss and with.
const SYNTAXES = {
  '1.2.840.10008.1.2.4.80': 'charls',
  '1.2.840.10008.1.2.4.81': 'charls',
  '1.2.840.10008.1.2.4.90': 'openjpeg',
  '1.2.840.10008.1.2.4.91': 'openjpeg',
};
const END = [0xff, 0xd9];
const FRAME_LS = 0xf7;
const DAMAGED = 'Its packed pixels are damaged.';
const loaded = {};

/**
 * Tells whether a transfer syntax is read here.
 * @param {string} syntax Its UID.
 * @returns {boolean} Whether it is.
 */
export function hasCodec(syntax) {
  return syntax in SYNTAXES;
}

/**
 * Decodes a frame of one channel.
 * @param {string} syntax The transfer syntax.
 * @param {Uint8Array} bytes The frame, packed.
 * @param {{rows: number, columns: number, bitsStored: number, signed: boolean}} stated
 *   What the file's header says of it.
 * @returns {Promise<Int16Array|Uint16Array|Uint8Array>} Stored values, row by row.
 * @throws {Error} If it is cut short, damaged, or not as stated.
 */
export async function decodeFrame(syntax, bytes, stated) {
  const whole = untilEnd(bytes);
  const name = SYNTAXES[syntax];
  // Before a decoder makes room for it.
  checkFrame(name === 'charls' ? frameOfLs(whole) : frameOf2000(whole), stated);
  const codec = await (loaded[name] ??= load(name));
  const decoder = new codec[DECODERS[name]]();
  try {
    decoder.getEncodedBuffer(whole.length).set(whole);
    return readFrame(decoder, stated);
  } catch (error) {
    if (error instanceof Error && error.isTold) throw error;
    delete loaded[name]; // what it threw may have left it in any state
    throw new Error(DAMAGED);
  } finally {
    decoder.delete();
  }
}

async function load(name) {
  const {default: factory} = await import(new URL(`${name}.js`, FOLDER).href);
  return factory({
    locateFile: () => new URL(`${name}.wasm`, FOLDER).href,
    print: () => {},
    printErr: () => {},
  });
}

/** Both end with the same mark; a decoder would fill up what is missing before it. */
function untilEnd(bytes) {
  let end = bytes.length;
  while (end && bytes[end - 1] === 0) end -= 1; // a fragment is padded
  const isWhole = END.every((byte, i) => bytes[end - END.length + i] === byte);
  if (!isWhole) throw new Error('Its packed pixels are cut short; give the whole file.');
  return bytes.subarray(0, end);
}

/** What the header of JPEG 2000 states; its first marker comes behind the start. */
function frameOf2000(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 43 || view.getUint32(0) !== 0xff4fff51) throw told(DAMAGED);
  const [right, bottom, left, top] = [8, 12, 16, 20].map((at) => view.getUint32(at));
  const componentCount = view.getUint16(40);
  const bitsPerSample = (bytes[42] & 127) + 1;
  return {width: right - left, height: bottom - top, componentCount, bitsPerSample};
}

/** What the frame of JPEG-LS states, behind any number of other segments. */
function frameOfLs(bytes) {
  const at = (place) => bytes[place] * 256 + bytes[place + 1];
  for (let place = 2; place + 10 <= bytes.length; place += 2 + at(place + 2)) {
    if (bytes[place] !== 0xff) break;
    if (bytes[place + 1] !== FRAME_LS) continue;
    const [height, width] = [at(place + 5), at(place + 7)];
    const [bitsPerSample, componentCount] = [bytes[place + 4], bytes[place + 9]];
    return {width, height, componentCount, bitsPerSample};
  }
  throw told(DAMAGED);
}

function readFrame(decoder, stated) {
  decoder.decode();
  const info = decoder.getFrameInfo();
  checkFrame(info, stated);
  const {bitsPerSample, isSigned} = info;
  const {buffer, byteOffset, byteLength} = decoder.getDecodedBuffer();
  const copy = buffer.slice(byteOffset, byteOffset + byteLength);
  const Kind = bitsPerSample <= 8
    ? (isSigned ? Int8Array : Uint8Array) : (isSigned ? Int16Array : Uint16Array);
  const data = new Kind(copy);
  if (data.length !== stated.rows * stated.columns) throw new Error('too few');
  if (Boolean(isSigned) === stated.signed) return data;
  return recast(data, stated);
}

/** The same bits as numbers with a sign, or without: the file's header decides. */
function recast(data, {signed, bitsStored}) {
  const shift = 32 - bitsStored;
  return signed
    ? Int16Array.from(data, (value) => (value << shift) >> shift)
    : Uint16Array.from(data, (value) => (value << shift) >>> shift);
}

function checkFrame({width, height, componentCount, bitsPerSample}, {rows, columns}) {
  if (width !== columns || height !== rows) {
    throw told(`Its header states ${rows} x ${columns} pixels, its packed pixels ` +
      `${height} x ${width}.`);
  }
  if (componentCount !== 1) throw told('Its packed pixels are of several channels.');
  if (bitsPerSample > 16) throw told('Its packed pixels have more than 16 bits.');
}

function told(text) {
  return Object.assign(new Error(text), {isTold: true});
}
