/**
 * The page: files in, worklist and viewer out.
 * @module
 */

import {Camera} from './camera.js';
import {chosenFiles, droppedFiles, reasonToSkip} from './files.js';
import {byPatient} from './identity.js';
import {Looker} from './looker.js';
import {keepOffline} from './offline.js';
import {csvReport, htmlReport, jsonReport} from './report.js';
import {Session} from './session.js';
import {Table} from './table.js';
import {Viewer} from './viewer.js';
import {byUrgency} from './worklist.js';

const SAMPLES = ['phantom-healthy.png', 'phantom-mild.png', 'phantom-severe.png'];
const ADDERS = ['choose', 'choose-folder', 'open-camera', 'try-samples'];
const MILLISECONDS_BETWEEN_WORDS = 1000;
const $ = (id) => document.getElementById(id);

/** What looks at the images, once its model is loaded. */
export const looker = new Looker();

/** Addresses of what was saved, as long as the browser may still be writing it. */
const saved = new Set();
const leftOut = {};
let chosen = null;
let spoken = 0;

const viewer = new Viewer((step) => {
  const row = chosen && table.beside(chosen, step);
  if (!row) return;
  const isInList = $('rows').contains(document.activeElement);
  choose(row);
  table.reveal(row, isInList);
});

const table = new Table((row) => {
  choose(row);
  if (matchMedia('(max-width: 56rem)').matches) $('viewer').scrollIntoView();
}, () => {
  // The viewer follows: what is not in the list is not in it either.
  if (chosen && !table.numberOf(chosen) && table.first) choose(table.first);
  place();
});

const session = new Session(looker, {
  progress(done, total, seconds) {
    $('progress').hidden = false;
    if (!done) $('rows').classList.remove('counted');
    [$('progress').max, $('progress').value] = [total, done];
    // Not for each film: a screen reader would not come to an end.
    const now = performance.now();
    if (done && now - spoken < MILLISECONDS_BETWEEN_WORDS) return;
    spoken = now;
    const time = seconds === null ? '' : ` ${duration(seconds)} left.`;
    say(`Looking at image ${done + 1} of ${total}…${time}`);
  },
  row(row, isFirst) {
    $('results').hidden = false;
    table.add(row);
    if (isFirst || !chosen) choose(row);
    else place();
  },
  end: finish,
});

function choose(row) {
  chosen = row;
  table.choose(row);
  viewer.show(row);
  place();
}

/** Says where in the list the chosen row is. */
function place() {
  if (!chosen) return;
  const [before, behind] = [-1, 1].map((step) => table.beside(chosen, step) !== null);
  viewer.place(table.numberOf(chosen), before, behind);
}

function say(text) {
  $('status').textContent = text;
}

function duration(seconds) {
  if (seconds < 60) return `About ${Math.max(5, Math.ceil(seconds / 5) * 5)} s`;
  return `About ${Math.ceil(seconds / 60)} min`;
}

function finish(done) {
  $('progress').hidden = true;
  $('rows').classList.add('counted');
  const {rows} = session;
  if (!rows.length) return;
  const failed = rows.filter((row) => row.error).length;
  const plural = rows.length === 1 ? 'image' : 'images';
  const skipped = Object.values(leftOut).reduce((sum, count) => sum + count, 0);
  say(`Done: ${rows.length} ${plural}` +
    (failed ? `, ${failed} could not be read.` : ', most involved first.') +
    (skipped ? ` ${skipped} other files of the folder were left out.` : ''));
  if (rows.some((row) => row.identity)) table.group(byPatient(rows));
  if (done > 1 && table.first) choose(table.first);
}

async function addFiles(found) {
  const jobs = [];
  for (const {name, file} of await found) {
    const reason = name.includes('/') ? await reasonToSkip(name, file) : '';
    if (reason) leftOut[reason] = (leftOut[reason] ?? 0) + 1;
    else jobs.push({name, open: async () => file, notes: []});
  }
  if (!jobs.length) say('There is no image in it.');
  session.add(jobs);
}

function addSamples() {
  const open = (name) => async () => {
    const response = await fetch(`samples/${name}`);
    if (!response.ok) throw new Error('The phantom is missing.');
    return response.blob();
  };
  session.add(SAMPLES.map((name) => ({name, open: open(name), notes: []})));
}

function clear() {
  const count = session.rows.length;
  const images = count === 1 ? '1 image' : `${count} images`;
  if (!confirm(`Clear ${images}? What was not saved is gone.`)) return;
  chosen = null;
  session.clear();
  for (const reason of Object.keys(leftOut)) delete leftOut[reason];
  saved.forEach((address) => URL.revokeObjectURL(address));
  saved.clear();
  table.clear();
  viewer.clear();
  $('results').hidden = true;
  say('Ready.');
  $('choose').focus();
}

/** The rows as they are saved: those of a patient together, if that is known. */
function ordered() {
  const isKnown = session.rows.some((row) => row.identity);
  return isKnown ? byPatient(session.rows) : byUrgency(session.rows);
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
  for (const [button, field] of [['choose', 'files'], ['choose-folder', 'folder']]) {
    $(button).addEventListener('click', () => $(field).click());
    $(field).addEventListener('change', () => {
      addFiles(chosenFiles($(field).files));
      $(field).value = '';
    });
  }
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
    if ($('choose').disabled) return;
    addFiles(droppedFiles(event.dataTransfer)).catch(() =>
      say('What was dropped cannot be opened; choose it instead.'));
  });
}

function listenForButtons() {
  const camera = new Camera((image) => {
    const time = new Date().toLocaleTimeString();
    session.add([{name: `Camera ${time}`, open: async () => image, notes: ['camera']}]);
  });
  $('open-camera').addEventListener('click', () =>
    camera.open().catch((error) => say(error.message)));
  $('identify').addEventListener('change', () => {
    session.identify = $('identify').checked;
  });
  $('try-samples').addEventListener('click', addSamples);
  $('clear').addEventListener('click', clear);
  $('save-report').addEventListener('click', async () => {
    const card = await (await fetch('model/MODEL_CARD.md')).text();
    const report = await htmlReport(ordered(), await looker.facts, card);
    save('covseg-report.html', 'text/html', report);
  });
  $('save-csv').addEventListener('click', () =>
    save('covseg-report.csv', 'text/csv', csvReport(ordered())));
  $('save-json').addEventListener('click', async () => {
    const {bundle, version} = await looker.facts;
    const text = jsonReport(ordered(), bundle, version, leftOut);
    save('covseg-report.json', 'application/json', text);
  });
}

async function start() {
  listenForFiles();
  const isIdle = () => !session.rows.length && !session.isBusy;
  addEventListener('beforeunload', (event) => {
    if (!isIdle()) event.preventDefault();
  });
  listenForButtons();
  keepOffline(isIdle);
  try {
    const {bundle, trust} = await looker.facts;
    $('model-name').textContent = bundle.name;
    $('trust').textContent = trust;
  } catch (error) {
    say(`The page cannot start: ${error.message}`);
    return;
  }
  for (const id of ADDERS) $(id).disabled = false;
  say('Ready.');
}

start();
