/**
 * Keeps the page, the model and the runtime, so that they work without a network.
 *
 * One version is one cache, filled and verified whole before it is used: pages
 * never see files of two versions.
 */
'use strict';

// Filled in by covseg_tf.web.site: SHA-256 of each file, and of all of them.
const FILES = {};
const VERSION = 'unbuilt';

const PREFIX = 'covseg-page-';
const NAME = PREFIX + VERSION;

self.addEventListener('install', (event) => event.waitUntil(fill()));
self.addEventListener('activate', (event) => event.waitUntil(takeOver()));
self.addEventListener('fetch', (event) => {
  const {method, url} = event.request;
  if (method === 'GET' && url.startsWith(self.registration.scope)) {
    event.respondWith(answer(event.request));
  }
});
self.addEventListener('message', (event) => {
  if (event.data === 'use-now') self.skipWaiting();
});

async function fill() {
  const cache = await caches.open(NAME);
  try {
    await Promise.all(Object.entries(FILES).map(([path, digest]) =>
      keep(cache, new URL(path, self.registration.scope).href, digest)));
  } catch (error) {
    await caches.delete(NAME);
    throw error;
  }
}

async function keep(cache, url, digest) {
  const response = await fetch(url, {cache: 'no-cache'});
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  const found = await crypto.subtle.digest(
    'SHA-256', await response.clone().arrayBuffer());
  const hex = Array.from(new Uint8Array(found), (x) => x.toString(16).padStart(2, '0'));
  if (hex.join('') !== digest) throw new Error(`${url}: the checksum does not match`);
  await cache.put(url, response);
}

async function takeOver() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== NAME);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request) {
  const url = new URL(request.url);
  url.search = '';
  url.hash = '';
  const path = url.href === self.registration.scope
    ? new URL('index.html', url).href : url.href;
  const cache = await caches.open(NAME);
  return (await cache.match(path)) ?? fetch(request);
}
