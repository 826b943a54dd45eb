/**
 * Colours and depths to grey 8-bit pixels, as `covseg_tf.edge.to_grey` does.
 * @module
 */

/**
 * A grey 8-bit image, row by row.
 * @typedef {{rows: number, columns: number, data: Uint8Array}} Grey
 */

// ITU-R BT.601 in 15-bit fixed point, the numbers of OpenCV's COLOR_BGR2GRAY.
const RED = 9798;
const GREEN = 19235;
const BLUE = 3735;

/**
 * Luma of 8-bit colour pixels.
 * @param {ArrayLike<number>} pixels Red, green, blue (and more) in turn.
 * @param {number} channels Numbers per pixel, at least 3; the rest is dropped.
 * @returns {Uint8Array} One number per pixel.
 */
export function luma(pixels, channels) {
  const grey = new Uint8Array(pixels.length / channels);
  for (let i = 0, j = 0; i < grey.length; i++, j += channels) {
    const sum = pixels[j] * RED + pixels[j + 1] * GREEN + pixels[j + 2] * BLUE;
    grey[i] = (sum + 16384) >> 15;
  }
  return grey;
}

/**
 * Stretches numbers linearly, the lowest to 0 and the highest to 255.
 * @param {ArrayLike<number>} values Any numbers; constant ones become 0.
 * @returns {Uint8Array} One number per value.
 */
export function stretch(values) {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    if (values[i] < low) low = values[i];
    if (values[i] > high) high = values[i];
  }
  const grey = new Uint8Array(values.length);
  if (!(high > low)) return grey;
  const factor = 255 / (high - low);
  for (let i = 0; i < values.length; i++) {
    grey[i] = roundHalfEven((values[i] - low) * factor);
  }
  return grey;
}

/**
 * Rounds to the nearest integer, halves to the even one, as NumPy's `rint`.
 * @param {number} value Any finite number.
 * @returns {number} An integer.
 */
export function roundHalfEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

/**
 * Turns an image as its EXIF orientation says.
 * @param {Grey} image The image as stored.
 * @param {number} orientation 1 to 8 of the EXIF standard; others leave it.
 * @returns {Grey} The image as it is looked at.
 */
export function turn({rows, columns, data}, orientation) {
  if (!(orientation > 1 && orientation < 9)) return {rows, columns, data};
  const swapped = orientation > 4;
  const out = new Uint8Array(data.length);
  const [height, width] = swapped ? [columns, rows] : [rows, columns];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let [row, column] = swapped ? [x, y] : [y, x];
      if ([3, 4, 6, 7].includes(orientation)) row = rows - 1 - row;
      if ([2, 3, 7, 8].includes(orientation)) column = columns - 1 - column;
      out[y * width + x] = data[row * columns + column];
    }
  }
  return {rows: height, columns: width, data: out};
}
