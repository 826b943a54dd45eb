/**
 * How a frame's numbers lie in their bytes, as `covseg_tf.imaging.dicom.pixels`.
 * @module
 */

const BIG_ENDIAN = '1.2.840.10008.1.2.2';
const KINDS = {
  8: [Uint8Array, Int8Array], 16: [Uint16Array, Int16Array], 32: [Uint32Array, Int32Array],
};

/**
 * Bits of each number.
 * @typedef {object} Layout
 * @property {number} bits Bits allocated.
 * @property {number} stored Bits in use.
 * @property {number} spare Unused ones below them.
 * @property {boolean} signed Whether numbers may be negative.
 * @property {boolean} isBig Whether the high byte comes first.
 */

/**
 * Reads the layout; what means nothing gives way to what a frame can be.
 * @param {object} dataset From dicom-parser.
 * @param {string} syntax The transfer syntax.
 * @returns {Layout} The layout.
 */
export function layoutOf(dataset, syntax) {
  const bits = dataset.uint16('x00280100');
  const stated = dataset.uint16('x00280101');
  const stored = stated > 0 && stated <= bits ? stated : bits;
  const high = dataset.uint16('x00280102') ?? stored - 1;
  // Old detectors put 12 bits into the upper ones of 16.
  const spare = high >= stored && high < bits ? high + 1 - stored : 0;
  const signed = dataset.uint16('x00280103') === 1;
  return {bits, stored, spare, signed, isBig: syntax === BIG_ENDIAN};
}

/**
 * Numbers that lie in a file as they are.
 * @param {Uint8Array} bytes The file.
 * @param {number} start Where the first lies.
 * @param {number} size How many.
 * @param {Layout} layout How they lie.
 * @returns {ArrayLike<number>} A typed array of them.
 */
export function plainPixels(bytes, start, size, {bits, signed, isBig}) {
  const length = size * (bits / 8);
  // Sliced, so that numbers begin at an address of their own size.
  const copy = bytes.slice(start, start + length);
  if (isBig && bits > 8) {
    for (let i = 0; i < length; i += bits / 8) copy.subarray(i, i + bits / 8).reverse();
  }
  return new KINDS[bits][Number(signed)](copy.buffer);
}

/**
 * Takes away what is not of the number: overlays above it, unused bits below.
 * @param {ArrayLike<number>} pixels As read; changed.
 * @param {Layout} layout How they lie.
 * @returns {ArrayLike<number>} The same array.
 */
export function usedBits(pixels, {bits, stored, spare, signed}) {
  const above = 32 - stored - spare;
  if (stored === bits) return pixels;
  for (let i = 0; i < pixels.length; i++) {
    const shifted = pixels[i] << above;
    pixels[i] = signed ? shifted >> (above + spare) : shifted >>> (above + spare);
  }
  return pixels;
}
