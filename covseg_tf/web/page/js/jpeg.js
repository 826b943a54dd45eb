/**
 * Looks at a JPEG before the browser does, as `covseg_tf.imaging.png_jpeg`: browsers
 * fill the rest of a cut picture with grey, some of them without a word.
 * @module
 */

// SOF0 to SOF15.
const FRAMES = [...Array(16).keys()].map((x) => x + 0xc0)
  .filter((kind) => ![0xc4, 0xc8, 0xcc].includes(kind));
const SEQUENTIAL = [0xc0, 0xc1];
const START_OF_SCAN = 0xda;
const END = 0xd9;
const MOST_SCANS = 16;
const MOST_PARTS = 10000;
const CUT = 'The JPEG file is cut short; give the whole file.';
// No byte FF, which would be a marker, and the others in no order; and every bit of
// it turned, should the first bits happen to be what is missing.
const JUNK = [0, 255].map((turned) => {
  const bytes = new Uint8Array(2048);
  for (let n = 0, power = 1; n < bytes.length; n++, power = (power * 3) % 257) {
    bytes[n] = (power ^ turned) % 255;
  }
  return bytes;
});

/**
 * Tells a JPEG by its first bytes.
 * @param {Uint8Array} bytes The file.
 * @returns {boolean} Whether it is one.
 */
export function isJpeg(bytes) {
  return bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff;
}

/**
 * Follows the markers of a JPEG file to its end.
 * @param {Uint8Array} bytes The file.
 * @param {number} mostPixels Largest rows times columns.
 * @returns {{rows: number, columns: number, frame: number, scans: number,
 *   ended: boolean}} What they say.
 * @throws {Error} If it is cut short before the first scan, damaged, too large, or
 *   goes over its pixels too often.
 */
export function walkJpeg(bytes, mostPixels) {
  const at = (place) => bytes[place] * 256 + bytes[place + 1];
  const found = {rows: 0, columns: 0, frame: 0, scans: 0, ended: false};
  let place = 2;
  for (let part = 0; part < MOST_PARTS; part++) {
    // A marker is one byte FF and its kind, after any number of fill bytes FF.
    while (bytes[place] === 0xff && bytes[place + 1] === 0xff) place += 1;
    if (bytes[place] === 0xff && bytes[place + 1] === END && found.frame) {
      return {...found, ended: true};
    }
    if (place >= bytes.length && found.frame && found.scans) return found;
    if (place + 4 > bytes.length) throw new Error(CUT);
    if (bytes[place] !== 0xff) throw new Error('The JPEG file is damaged.');
    const kind = bytes[place + 1];
    if (kind === END) throw new Error(CUT);
    if (FRAMES.includes(kind)) {
      if (place + 9 > bytes.length) throw new Error(CUT);
      [found.rows, found.columns, found.frame] = [at(place + 5), at(place + 7), kind];
      const pixels = found.rows * found.columns;
      if (!pixels) throw new Error('The JPEG file states no size.');
      if (pixels > mostPixels) {
        throw new Error(`It has ${found.columns} x ${found.rows} pixels; the most is ` +
          `${mostPixels / 1e6} million.`);
      }
    }
    place += 2 + at(place + 2);
    if (kind === START_OF_SCAN) {
      found.scans += 1;
      if (found.scans * found.rows * found.columns > MOST_SCANS * mostPixels) {
        throw new Error('The JPEG file has too many scans; save the image again.');
      }
      while (place < bytes.length && !isMarker(bytes[place], bytes[place + 1])) place += 1;
    }
  }
  throw new Error('The JPEG file has too many segments; save the image again.');
}

/**
 * Decodes a JPEG that lacks nothing, or its end mark alone.
 *
 * A decoder that still waits for pixels takes whatever follows for them: if junk in
 * place of the end mark changes the picture, it is not whole. Of several scans the
 * mark is the only sign that all are there.
 * @param {Uint8Array} bytes The file.
 * @param {number} mostPixels Largest rows times columns.
 * @param {(bytes: Uint8Array) => Promise<import('./grey.js').Grey>} decode The
 *   browser's decoder.
 * @returns {Promise<import('./grey.js').Grey>} Its pixels.
 * @throws {Error} If pixels are missing, or as `walkJpeg`.
 */
export async function readWholeJpeg(bytes, mostPixels, decode) {
  const walk = walkJpeg(bytes, mostPixels);
  if (walk.ended) return decode(bytes);
  if (!SEQUENTIAL.includes(walk.frame) || walk.scans !== 1) throw new Error(CUT);
  let length = bytes.length;
  while (bytes[length - 1] === 0xff) length -= 1; // half a mark would swallow the junk
  const whole = bytes.subarray(0, length);
  const [plain, ...others] = await Promise.all([new Uint8Array(), ...JUNK].map(
    (junk) => decode(joined(whole, junk))));
  const isSame = ({data}) => data.every((value, i) => value === plain.data[i]);
  if (!others.every(isSame)) throw new Error(CUT);
  return {...plain, notes: [...(plain.notes ?? []), 'no_end_mark']};
}

function joined(whole, junk) {
  const bytes = new Uint8Array(whole.length + junk.length + 2);
  bytes.set(whole);
  bytes.set(junk, whole.length);
  bytes.set([0xff, END], whole.length + junk.length);
  return bytes;
}

/** Inside compressed data: not a stuffed zero, a restart or a fill byte. */
function isMarker(first, second) {
  const isData = second === undefined || second === 0 || second === 0xff ||
    (second >= 0xd0 && second <= 0xd7);
  return first === 0xff && !isData;
}
