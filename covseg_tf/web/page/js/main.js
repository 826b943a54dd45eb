/**
 * The page: files in, worklist and viewer out.
 * @module
 */

import {Camera} from './camera.js';
import {readFile} from './decode.js';
import {keepOffline} from './offline.js';
import {shrinkToShow} from './overlay.js';
import {csvReport, htmlReport, jsonReport} from './report.js';
import {Segmenter} from './segmenter.js';
import {drawTable} from './table.js';
import {Viewer} from './viewer.js';
import {byUrgency, failedRow, scoredRow} from './worklist.js';

const SAMPLES = ['phantom-healthy.png', 'phantom-mild.png', 'phantom-severe.png'];
const $ = (id) => document.getElementById(id);

/** @type {Promise<Segmenter>} The model, once it is loaded. */
export const segmenter = Segmenter.load('model/');

/** Addresses of what was saved, as long as the browser may still be writing it. */
const saved = new Set();
const state = {rows: [], chosen: null, queue: [], done: 0, busy: false, era: 0};
const viewer = new Viewer((step) => {
  const row = state.rows[state.rows.indexOf(state.chosen) + step];
  if (!row) return;
  const isInList = $('rows').contains(document.activeElement);
  choose(row);
  const button = $('rows').querySelector('[aria-current]');
  if (isInList) button.focus();
  button.scrollIntoView({block: 'nearest'});
});

function choose(row) {
  state.chosen = row;
  draw();
}

function draw() {
  $('results').hidden = state.rows.length === 0;
  if (!state.chosen) {
    drawTable([], null, () => {});
    viewer.clear();
    return;
  }
  drawTable(state.rows, state.chosen, (row) => {
    choose(row);
    if (matchMedia('(max-width: 56rem)').matches) $('viewer').scrollIntoView();
  });
  viewer.show(state.chosen, state.rows.indexOf(state.chosen), state.rows.length);
}

function say(text) {
  $('status').textContent = text;
}

/** Takes jobs `{name, read, notes}` and looks at one after the other. */
async function add(jobs) {
  state.queue.push(...jobs);
  if (state.busy || !jobs.length) return;
  state.busy = true;
  [state.done, $('progress').hidden] = [0, false];
  while (state.queue.length) {
    const job = state.queue.shift();
    const {era} = state; // before anything is waited for: it may be cleared meanwhile
    const total = state.done + state.queue.length + 1;
    say(`Looking at image ${state.done + 1} of ${total}…`);
    [$('progress').max, $('progress').value] = [total, state.done];
    await new Promise((resolve) => setTimeout(resolve));
    if (era !== state.era) continue;
    const row = await look(job);
    if (era !== state.era) continue;
    state.done += 1;
    state.rows = byUrgency([...state.rows, row]);
    state.chosen = state.done === 1 ? row : state.chosen ?? row;
    draw();
  }
  finish();
}

function finish() {
  [state.busy, $('progress').hidden] = [false, true];
  if (!state.rows.length) return;
  const failed = state.rows.filter((row) => row.error).length;
  const plural = state.rows.length === 1 ? 'image' : 'images';
  say(`Done: ${state.rows.length} ${plural}` +
    (failed ? `, ${failed} could not be read.` : ', most involved first.'));
  if (state.done > 1) choose(state.rows[0]);
}

async function look({name, read, notes}) {
  try {
    const image = await read();
    const model = await segmenter;
    const film = model.correct(image);
    const found = await model.predict(film);
    return scoredRow(name, image, found, shrinkToShow(film), [...notes, ...film.notes]);
  } catch (error) {
    console.info(error);
    return failedRow(name, error.message || 'It cannot be read.');
  }
}

function addFiles(files) {
  const jobs = Array.from(files, (file) =>
    ({name: file.name, read: () => readFile(file), notes: []}));
  add(jobs);
}

async function addSamples() {
  const read = (name) => async () => {
    const response = await fetch(`samples/${name}`);
    if (!response.ok) throw new Error('The phantom is missing.');
    return readFile(await response.blob());
  };
  add(SAMPLES.map((name) => ({name, read: read(name), notes: []})));
}

function clear() {
  const count = state.rows.length;
  const images = count === 1 ? '1 image' : `${count} images`;
  if (!confirm(`Clear ${images}? What was not saved is gone.`)) return;
  [state.rows, state.chosen, state.queue, state.done] = [[], null, [], 0];
  state.era += 1;
  saved.forEach((address) => URL.revokeObjectURL(address));
  saved.clear();
  draw();
  say('Ready.');
  $('choose').focus();
}

function save(name, type, text) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type}));
  saved.add(link.href);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  say(`Saved ${name}.`);
}

function listenForFiles() {
  $('choose').addEventListener('click', () => $('files').click());
  $('files').addEventListener('change', () => {
    addFiles($('files').files);
    $('files').value = '';
  });
  // The whole window takes drops: a film that misses the box must not replace
  // the page.
  let depth = 0;
  const mark = (change) => {
    depth = change === 0 ? 0 : depth + change;
    $('add').classList.toggle('over', depth > 0);
  };
  addEventListener('dragenter', () => mark(1));
  addEventListener('dragleave', () => mark(-1));
  addEventListener('dragover', (event) => event.preventDefault());
  addEventListener('drop', (event) => {
    event.preventDefault();
    mark(0);
    if (!$('choose').disabled) addFiles(event.dataTransfer.files);
  });
}

function listenForButtons() {
  const camera = new Camera((image) => {
    const time = new Date().toLocaleTimeString();
    add([{name: `Camera ${time}`, read: async () => image, notes: ['camera']}]);
  });
  $('open-camera').addEventListener('click', () =>
    camera.open().catch((error) => say(error.message)));
  $('try-samples').addEventListener('click', addSamples);
  $('clear').addEventListener('click', clear);
  $('save-report').addEventListener('click', async () => {
    const card = await (await fetch('model/MODEL_CARD.md')).text();
    const report = await htmlReport(state.rows, await segmenter, card);
    save('covseg-report.html', 'text/html', report);
  });
  $('save-csv').addEventListener('click', () =>
    save('covseg-report.csv', 'text/csv', csvReport(state.rows)));
  $('save-json').addEventListener('click', async () => {
    const {bundle, version} = await segmenter;
    const text = jsonReport(state.rows, bundle, version);
    save('covseg-report.json', 'application/json', text);
  });
}

async function start() {
  listenForFiles();
  addEventListener('beforeunload', (event) => {
    if (state.rows.length || state.busy) event.preventDefault();
  });
  listenForButtons();
  keepOffline(() => !state.rows.length && !state.busy);
  try {
    const {bundle, trust} = await segmenter;
    $('model-name').textContent = bundle.name;
    $('trust').textContent = trust;
  } catch (error) {
    say(`The page cannot start: ${error.message}`);
    return;
  }
  for (const id of ['choose', 'open-camera', 'try-samples']) $(id).disabled = false;
  say('Ready.');
}

start();
