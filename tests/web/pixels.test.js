// The page's pixel arithmetic against the vectors that Python asserts too.
//   node --test tests/web/
import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {test} from 'node:test';

import {luma, roundHalfEven, stretch, turn} from '../../covseg_tf/web/page/js/grey.js';
import {maskToImage, readLevels} from '../../covseg_tf/web/page/js/prediction.js';
import {resize} from '../../covseg_tf/web/page/js/resize.js';

const file = new URL('pixel_vectors.json', import.meta.url);
const vectors = JSON.parse(readFileSync(file, 'utf8'));

function pixels(seed, count, shift) {
  const values = shift === 24 ? new Uint8Array(count) : new Uint16Array(count);
  let state = seed;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0;
    values[i] = state >>> shift;
  }
  return values;
}

function check(data, answer) {
  assert.deepEqual([...data.slice(0, answer.first.length)], answer.first);
  assert.equal(createHash('sha256').update(data).digest('hex'), answer.sha256);
}

for (const {seed, from, to, answer} of vectors.resize) {
  test(`resize ${from} to ${to}`, () => {
    const [rows, columns] = from;
    const data = pixels(seed, rows * columns, 24);
    check(resize({rows, columns, data}, ...to).data, answer);
  });
}

for (const {seed, pixels: number, channels, bits, answer} of vectors.grey) {
  test(`grey of ${channels} channels, ${bits} bit`, () => {
    const values = pixels(seed, number * channels, bits === 8 ? 24 : 16);
    const bytes = bits === 8 ? values : stretch(values);
    check(channels === 1 ? bytes : luma(bytes, channels), answer);
  });
}

for (const [index, {image, grid, shapes, answer}] of vectors.mask.entries()) {
  test(`mask ${index} at ${image}`, () => {
    const [lung, infection] = [0, 1].map((which) => {
      const levels = new Uint8Array(grid * grid);
      for (const [top, left, bottom, right, ...values] of shapes) {
        for (let row = top; row < bottom; row++) {
          levels.fill(values[which], row * grid + left, row * grid + right);
        }
      }
      return levels;
    });
    const size = {rows: image[0], columns: image[1]};
    const read = (readers) =>
      readLevels({lung, infection, columns: grid}, size, 0.5, [], readers);
    const found = read(null);
    check(maskToImage(found, found.lung, ...image), answer.lung);
    check(maskToImage(found, found.infection, ...image), answer.infection);
    for (const name of ['involvement', 'extent']) {
      const {total, right, left} = found[name];
      assert.deepEqual([total, right, left], answer[name]);
    }
    const {total, right, left} = read(vectors.readers).extent;
    assert.deepEqual([total, right, left], answer.readers_extent);
    assert.deepEqual(found.zones?.percents ?? null, answer.zones);
    assert.deepEqual(found.flags, answer.flags);
  });
}

test('halves are rounded to the even neighbour', () => {
  assert.deepEqual([0.5, 1.5, 2.5, 2.49, 254.5].map(roundHalfEven), [0, 2, 2, 2, 254]);
});

test('a constant image is stretched to black', () => {
  assert.deepEqual([...stretch(new Uint16Array(4).fill(900))], [0, 0, 0, 0]);
});

test('EXIF orientations turn as worked out by hand', () => {
  const image = {rows: 2, columns: 3, data: Uint8Array.of(1, 2, 3, 4, 5, 6)};
  const expected = {
    1: [2, 1, 2, 3, 4, 5, 6], 2: [2, 3, 2, 1, 6, 5, 4], 3: [2, 6, 5, 4, 3, 2, 1],
    4: [2, 4, 5, 6, 1, 2, 3], 5: [3, 1, 4, 2, 5, 3, 6], 6: [3, 4, 1, 5, 2, 6, 3],
    7: [3, 6, 3, 5, 2, 4, 1], 8: [3, 3, 6, 2, 5, 1, 4],
  };
  for (const [orientation, [rows, ...data]] of Object.entries(expected)) {
    const out = turn(image, Number(orientation));
    assert.deepEqual([out.rows, ...out.data], [rows, ...data], orientation);
  }
});
