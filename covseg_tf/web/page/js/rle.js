/**
 * DICOM's run-length encoding (PS3.5, annex G).
 * @module
 */

/**
 * Unpacks one frame of one channel.
 * @param {Uint8Array} frame Header of 64 bytes, then a segment per byte of a pixel.
 * @param {number} size Pixels in the frame.
 * @param {number} bits 8 or 16 per pixel.
 * @param {boolean} signed Whether pixels may be negative.
 * @returns {Uint8Array|Int8Array|Uint16Array|Int16Array} The pixels.
 * @throws {Error} If the segments do not fill the frame.
 */
export function decodeRle(frame, size, bits, signed) {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const segments = view.getUint32(0, true);
  if (segments !== bits / 8) throw new Error('Its run-length pixels are damaged.');
  const bytes = new Uint8Array(size * segments);
  for (let segment = 0; segment < segments; segment++) {
    const begin = view.getUint32(4 + 4 * segment, true);
    const next = view.getUint32(8 + 4 * segment, true);
    const end = segment + 1 < segments ? next : frame.length;
    // The most significant byte comes first; arrays here are little-endian.
    unpack(frame.subarray(begin, end), bytes, segments - 1 - segment, segments, size);
  }
  if (bits === 8) return new (signed ? Int8Array : Uint8Array)(bytes.buffer);
  return new (signed ? Int16Array : Uint16Array)(bytes.buffer);
}

function unpack(packed, bytes, offset, step, size) {
  let [at, done] = [0, 0];
  while (done < size && at < packed.length) {
    const control = packed[at++];
    if (control < 128) {
      for (let i = 0; i <= control && done < size; i++) {
        bytes[offset + step * done++] = packed[at++];
      }
    } else if (control > 128) {
      for (let i = 0; i < 257 - control && done < size; i++) {
        bytes[offset + step * done++] = packed[at];
      }
      at++;
    }
  }
  if (done < size || at > packed.length) {
    throw new Error('Its run-length pixels are damaged.');
  }
}
