// What the page's reader makes of each file of a folder, as one line of JSON.
//   node tests/web/read_dicom.mjs FOLDER
import {createHash} from 'node:crypto';
import {readFileSync, readdirSync} from 'node:fs';
import {createRequire} from 'node:module';
import {join} from 'node:path';

import {readDicom} from '../../covseg_tf/web/page/js/dicom.js';
import {isDicom} from '../../covseg_tf/web/page/js/preamble.js';

// The vendored build is a script of browsers; here it is taken as what it says it is.
const vendored = new URL(
  '../../covseg_tf/web/page/vendor/dicom-parser/dicomParser.min.js', import.meta.url,
);
const module = {exports: {}};
new Function('module', 'exports', 'require', readFileSync(vendored, 'utf8'))(
  module, module.exports, createRequire(import.meta.url),
);

async function read(bytes) {
  if (!isDicom(bytes)) return {error: 'no DICOM'};
  try {
    const film = await readDicom(bytes, module.exports, null);
    const sha256 = createHash('sha256').update(film.data).digest('hex');
    const shape = [film.rows, film.columns];
    const levels = process.argv[3] ? [...film.data] : undefined;
    return {shape, sha256, notes: film.notes, levels};
  } catch (error) {
    return {error: error.message};
  }
}

const folder = process.argv[2];
const found = {};
for (const name of readdirSync(folder)) {
  found[name] = await read(new Uint8Array(readFileSync(join(folder, name))));
}
console.log(JSON.stringify(found));
