/**
 * The desk in a thread of its own. A classic worker, since LiteRT and dicom-parser come
 * as scripts; the page's modules are imported all the same.
 */
'use strict';

importScripts('../vendor/dicom-parser/dicomParser.min.js');

const desk = import('./desk.js').then(({Desk}) => new Desk());
// Held as long as this thread lives: the page waits for it, to learn of its end.
const life = `covseg-desk-${crypto.randomUUID()}`;
const held = new Promise((resolve, reject) => {
  const hold = () => {
    resolve();
    return new Promise(() => {});
  };
  navigator.locks.request(life, hold).catch(reject);
});
desk.then(() => held).then(
  () => postMessage({life}),
  (error) => postMessage({error: String(error)}));

addEventListener('message', async ({data: {number, method, args}}) => {
  try {
    const result = await (await desk)[method](...args);
    postMessage({number, result}, result.shown ? [tight(result.shown)] : []);
  } catch (error) {
    console.info(error);
    postMessage({number, error: error.message || 'It cannot be read.'});
  }
});

/** A picture's memory goes over as it is, nothing else that shares it. */
function tight(picture) {
  const {buffer, length} = picture.data;
  if (buffer.byteLength !== length) picture.data = picture.data.slice();
  return picture.data.buffer;
}
