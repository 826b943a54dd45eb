/**
 * The one EXIF tag that matters here: which way up.
 * @module
 */

const ORIENTATION = 0x0112;

/**
 * Reads the orientation of a TIFF block, as EXIF stores it.
 * @param {Uint8Array} bytes The block, from its byte-order mark on.
 * @returns {number} 1 to 8; 1 (upright) if there is none.
 */
export function tiffOrientation(bytes) {
  if (bytes.length < 8) return 1;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const little = bytes[0] === 0x49;
  if (!little && bytes[0] !== 0x4d) return 1;
  const start = view.getUint32(4, little);
  if (start + 2 > bytes.length) return 1;
  const count = view.getUint16(start, little);
  for (let i = 0; i < count; i++) {
    const at = start + 2 + 12 * i;
    if (at + 12 > bytes.length) return 1;
    if (view.getUint16(at, little) === ORIENTATION) {
      const value = view.getUint16(at + 8, little);
      return value >= 1 && value <= 8 ? value : 1;
    }
  }
  return 1;
}
