// What the page saves: escaping, order, numbers.
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {contextOf, csvReport, jsonReport, rounded} from
  '../../covseg_tf/web/page/js/report.js';
import {member, percent, shown} from '../../covseg_tf/web/page/js/template.js';
import {byUrgency, failedRow, scoredRow} from '../../covseg_tf/web/page/js/worklist.js';

const row = (file, total, flags = []) => scoredRow(
  file, {
    rows: 4, columns: 5, shown: {}, notes: [],
    found: {
      flags, involvement: {total, right: null, left: 2}, zones: null,
      extent: {total: null, right: null, left: 1},
    },
  }, []);

test('what needs a reader comes first, then the most involved', () => {
  const rows = [failedRow('a', 'broken'), row('b', null, ['no_lungs_found']),
    row('c', 1), row('e', 40), row('d', 40)];
  assert.deepEqual(byUrgency(rows).map((r) => r.file), ['b', 'a', 'd', 'e', 'c']);
});

test('a spreadsheet runs no cell, and none breaks a line', () => {
  const text = csvReport([row('=cmd("x"),1', 12.345), failedRow('a\nb', 'no')]);
  const lines = text.split('\r\n');
  const time = /,20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
  assert.match(lines[1], time);
  assert.equal(lines[1].replace(time, ''), `"'=cmd(""x""),1",12.35,,2,,,1,,4,5,,,`);
  assert.equal(lines[2].replace(time, ''), '"a\nb",,,,,,,,,,,,no');
});

test('rounding is that of Python', () => {
  const pairs = [[12.125, 12.12], [12.375, 12.38], [0.5, 0.5], [33.335, 33.34],
    [99.999, 100], [0, 0], [100, 100], [7.2949, 7.29]];
  for (const [value, expected] of pairs) assert.equal(rounded(value), expected);
  assert.equal(rounded(null), null);
});

test('percents are whole, and none of them is 0 %', () => {
  const pairs = [[null, '–'], [0, 'none seen'], [0.49, '< 1 %'], [0.5, '1 %'],
    [12.5, '13 %'], [65.494, '65 %'], [65.495001, '66 %'], [98.2, '98 %'], [100, '100 %']];
  for (const [value, expected] of pairs) assert.equal(percent(value), expected);
});

test('text is escaped for HTML and JSON holds numbers', () => {
  assert.equal(shown(`<a b='"&\u001b`), '&lt;a b=&#39;&#34;&amp;\ufffd');
  assert.throws(() => member({}, 'film'), /misses "film"/);
  const bundle = {name: 'm', files: {'model.tflite': 'ab'}, threshold: 0.5};
  const {images, format} = JSON.parse(jsonReport([row('f', 1.234)], bundle, '1'));
  assert.equal(format, 'covseg_triage');
  assert.equal(images[0].involved_percent, 1.23);
  assert.equal(images[0].involved_percent_right, null);
});

test('a report stays small, and what was not scored has its picture', () => {
  const pictures = {film: 'f'.repeat(20_000), paint: 'p'.repeat(20_000)};
  const plain = {film: 'f'.repeat(10_000), paint: ''};
  const rows = [];
  for (let i = 0; i < 250; i++) rows.push({...row(`u${i}`, null), pictures: plain});
  for (let i = 0; i < 1000; i++) rows.push({...row(`s${i}`, 5), pictures});
  const bundle = {name: 'm', files: {'model.tflite': 'ab'}, threshold: 0.5};
  const found = contextOf(rows, {bundle, version: '1', trust: ''}, '');
  assert.equal(found.rows.length, 1250);
  assert.equal(found.left_out, true);
  const [unscored, scored] = ['u', 's'].map((kind) =>
    found.cards.filter(({name}) => name.startsWith(kind)));
  assert.deepEqual([unscored.length, scored.length], [200, 200]);
  assert.ok(unscored.every(({film}) => film === plain.film));
  // 4,666,666 characters of 40,000 each.
  assert.equal(scored.filter(({film}) => film).length, 116);
  assert.ok(scored.slice(116).every(({film, paint, elsewhere}) =>
    film === '' && paint === '' && elsewhere));
  assert.equal(found.rows.filter(({link}) => link).length, 400);
  const few = contextOf(rows.slice(0, 3), {bundle, version: '1', trust: ''}, '');
  assert.deepEqual([few.left_out, few.cards.length], [false, 3]);
});
