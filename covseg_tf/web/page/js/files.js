/**
 * Files and folders that are chosen or dropped.
 * @module
 */

// As `covseg_tf/imaging/sources/folder.py` has them: what promises an image is listed
// whatever it holds, of all else in a folder the first bytes decide.
const IMAGES = /\.(png|jpe?g|bmp|tiff?|webp|dcm|dicom|ima)$/i;
const NEVER = /\.(txt|csv|json|html|xml|md|pdf|py|log|docx|xlsx|pptx|od[ts]|jar|whl|apk|epub)$/i;
const THUMBNAILS = ['@eadir', '.@__thumb', '.thumbnails', '.thumbs', '#recycle'];
const STARTS = [
  [0x89, 0x50, 0x4e, 0x47], [0xff, 0xd8, 0xff], [0x42, 0x4d], [0x52, 0x49, 0x46, 0x46],
  [0x49, 0x49, 0x2a, 0], [0x4d, 0x4d, 0, 0x2a],
];

/**
 * A file and what the worklist calls it.
 * @typedef {{name: string, file: File}} Found
 */

/**
 * Why a file of a folder is not to be listed.
 * @param {string} name Its path, with `/`.
 * @param {Blob} file The file.
 * @returns {Promise<string>} The reason, or empty if it may be a film.
 */
export async function reasonToSkip(name, file) {
  const folders = name.split('/');
  const last = folders.pop();
  if (last.startsWith('._') || folders.includes('__MACOSX')) return 'files of macOS';
  const isSmall = folders.some((each) => THUMBNAILS.includes(each.toLowerCase()));
  if (isSmall) return 'thumbnails';
  if (last === 'DICOMDIR') return 'lists of DICOM media';
  if (IMAGES.test(last)) return '';
  if (NEVER.test(last)) return 'no images';
  const head = new Uint8Array(await file.slice(0, 132).arrayBuffer());
  const isDicom = String.fromCharCode(...head.subarray(128)) === 'DICM';
  const isImage = STARTS.some((start) => start.every((byte, i) => head[i] === byte));
  return isDicom || isImage ? '' : 'no images';
}

/**
 * Files of a field: those of a folder with their path in it.
 * @param {FileList} files What was chosen.
 * @returns {Found[]} In the order of their names if they are of a folder.
 */
export function chosenFiles(files) {
  const found = Array.from(files, (file) =>
    ({name: file.webkitRelativePath || file.name, file}));
  return found.some(({name}) => name.includes('/')) ? inOrder(found) : found;
}

/**
 * Files that were dropped, folders searched to any depth. Call it within the event.
 * @param {DataTransfer} transfer What was dropped.
 * @returns {Promise<Found[]>} In the order of their names within each folder.
 */
export async function droppedFiles(transfer) {
  const entries = Array.from(transfer.items ?? [], (item) => item.webkitGetAsEntry?.());
  if (!entries.some((entry) => entry?.isDirectory)) return chosenFiles(transfer.files);
  const found = [];
  for (const entry of entries) {
    if (entry) found.push(...inOrder(await filesOf(entry)));
  }
  return found;
}

async function filesOf(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{name: entry.fullPath.slice(1), file}];
  }
  const [reader, found] = [entry.createReader(), []];
  for (;;) {
    // A browser hands out a hundred at a time, and none after the last.
    const some = await new Promise((resolve, reject) =>
      reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const each of some) found.push(...await filesOf(each));
  }
}

function inOrder(found) {
  return found.sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
}
