/**
 * DICOM files without the mark of one, as `covseg_tf.imaging.dicom.header` tells them.
 * @module
 */

const TYPES = ['UL', 'OB', 'UI', 'CS', 'SH', 'LO', 'DA', 'TM', 'DT', 'SQ'];
const [EXPLICIT, IMPLICIT] = ['1.2.840.10008.1.2.1', '1.2.840.10008.1.2'];

/**
 * Tells a DICOM file by the mark behind its preamble, or, without one, by its first
 * element: of group 2 or 8, with a type of value or a short length.
 * @param {Uint8Array} bytes The file.
 * @returns {boolean} Whether it is one.
 */
export function isDicom(bytes) {
  if (isMarked(bytes)) return true;
  if (bytes.length < 132 || ![2, 8].includes(bytes[0]) || bytes[1] || bytes[3] > 1) {
    return false;
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
  return isExplicit(bytes) || (length <= 64 && length % 2 === 0);
}

/**
 * Puts before a file what a parser looks for.
 * @param {Uint8Array} bytes A file of which `isDicom` is true.
 * @returns {Uint8Array} The same, with preamble, mark and the packing of its elements.
 */
export function withMark(bytes) {
  if (isMarked(bytes)) return bytes;
  const head = [...new Uint8Array(128), ...asBytes('DICM')];
  if (bytes[0] === 8) {
    const uid = isExplicit(bytes) ? EXPLICIT : IMPLICIT;
    const length = uid.length + (uid.length % 2);
    head.push(2, 0, 0x10, 0, ...asBytes('UI'), length, 0);
    head.push(...asBytes(uid.padEnd(length, '\0')));
  }
  const whole = new Uint8Array(head.length + bytes.length);
  whole.set(head);
  whole.set(bytes, head.length);
  return whole;
}

function isMarked(bytes) {
  return String.fromCharCode(...bytes.subarray(128, 132)) === 'DICM';
}

function isExplicit(bytes) {
  return TYPES.includes(String.fromCharCode(...bytes.subarray(4, 6)));
}

function asBytes(text) {
  return [...text].map((letter) => letter.charCodeAt(0));
}
