/**
 * Unpacks deflated DICOM files.
 * @module
 */

const DEFLATED = '1.2.840.10008.1.2.1.99';
const EXPLICIT = '1.2.840.10008.1.2.1';
// As `covseg_tf.imaging.dicom.header`: beyond it a file is a bomb.
const LARGEST = 256 * 2 ** 20;
const MOST_TIMES = 100;
const FREE = 2 ** 20;

/**
 * Unpacks what follows the first group of a deflated DICOM file.
 * @param {Uint8Array} bytes The file.
 * @param {object} parser The `dicomParser` library.
 * @returns {Promise<Uint8Array>} The file unpacked; any other as it is.
 * @throws {Error} If it cannot be unpacked, or to far more than it is.
 */
export async function inflateDicom(bytes, parser) {
  const head = parser.readPart10Header(bytes);
  if (head.string('x00020010') !== DEFLATED) return bytes;
  const packed = bytes.subarray(head.position);
  const most = Math.min(LARGEST, MOST_TIMES * bytes.length + FREE);
  // Files are padded to an even length, which browsers take for junk.
  const isPadded = packed.at(-1) === 0;
  const parts = await inflate(packed, most).catch((error) => {
    if (!isPadded) throw error;
    return inflate(packed.subarray(0, -1), most);
  });
  return relabelled([bytes.subarray(0, head.position), ...parts], head);
}

async function inflate(packed, most) {
  const stream = new Blob([packed]).stream()
    .pipeThrough(new DecompressionStream('deflate-raw'));
  const [reader, parts] = [stream.getReader(), []];
  let size = 0;
  for (;;) {
    const {done, value} = await reader.read().catch(() => {
      throw new Error('its packed part is damaged');
    });
    if (done) return parts;
    size += value.length;
    if (size > most) {
      await reader.cancel();
      throw new Error('it unpacks to far more than it is');
    }
    parts.push(value);
  }
}

/** All of it as one, called what it is now: dicom-parser would unpack it again. */
function relabelled(parts, head) {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const whole = new Uint8Array(size);
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  const {dataOffset, length} = head.elements.x00020010;
  const name = new TextEncoder().encode(EXPLICIT.padEnd(length, '\0'));
  whole.set(name, dataOffset);
  return whole;
}
