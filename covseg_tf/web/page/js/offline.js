/**
 * Keeps the page for use without a network, and brings newer versions.
 * @module
 */

/**
 * Registers the service worker.
 * @param {() => boolean} isIdle Whether nothing would be lost by a reload.
 * @returns {Promise<void>}
 */
export async function keepOffline(isIdle) {
  if (!('serviceWorker' in navigator)) return;
  const workers = navigator.serviceWorker;
  const hadOne = Boolean(workers.controller);
  let reloading = false;
  workers.addEventListener('controllerchange', () => {
    // The first worker changes nothing; a later one brings other files.
    if (hadOne && !reloading) {
      reloading = true;
      location.reload();
    }
  });
  try {
    const registration = await workers.register('service-worker.js', {
      updateViaCache: 'none',
    });
    if (registration.waiting) offer(registration.waiting, isIdle);
    registration.addEventListener('updatefound', () => {
      const worker = registration.installing;
      worker.addEventListener('statechange', () => {
        if (worker.state === 'installed' && hadOne) offer(worker, isIdle);
      });
    });
    await workers.ready;
    document.getElementById('offline').textContent = 'Saved here: works offline.';
  } catch (error) {
    console.info('The page is not kept for offline use:', error.message);
  }
}

function offer(worker, isIdle) {
  if (isIdle()) {
    worker.postMessage('use-now');
    return;
  }
  const button = document.getElementById('use-update');
  document.getElementById('update').hidden = false;
  button.addEventListener('click', () => worker.postMessage('use-now'), {once: true});
}
