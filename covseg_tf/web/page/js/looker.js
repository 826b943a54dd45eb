/**
 * The page's way to its desk: in a worker, or here where a browser has none.
 * @module
 */

const SCRIPT = new URL('worker.js', import.meta.url);
// Of one film: it may have been ended for something else.
const MOST_TRIES = 2;

/** The worker ended by itself, or was ended by the browser. */
class Gone extends Error {}

/** Looks at images, one after the other, without holding the page up. */
export class Looker {
  #desk = openDesk();

  /** @type {Promise<object>} What `Desk.facts` gives. */
  facts = this.#desk.then((desk) => desk.call('facts'));

  /**
   * Looks at one image.
   * @param {Blob|import('./grey.js').Grey} source A file, or pixels.
   * @param {{identify: boolean}} options Whether to read whose film it is.
   * @returns {Promise<import('./desk.js').Look>} What came of it.
   * @throws {Error} If it cannot be read, in words, or was told to forget it.
   */
  async look(source, options) {
    for (let tries = 1; ; tries++) {
      const desk = await this.#desk;
      try {
        return await desk.call('look', source, options);
      } catch (error) {
        if (!(error instanceof Gone)) throw error;
        if ((await this.#desk) === desk) this.#desk = openDesk();
        if (tries === MOST_TRIES) throw error;
      }
    }
  }

  /** Leaves nothing of what was looked at, nor of what is being looked at. */
  async forget() {
    const desk = this.#desk;
    this.#desk = desk.then((old) => old.close());
    await this.#desk;
  }
}

async function openDesk() {
  try {
    return await openWorker();
  } catch (error) {
    console.info('There is no worker, so the page may halt:', error.message);
    const {Desk} = await import('./desk.js');
    const desk = new Desk();
    const here = {
      call: (method, ...args) => desk[method](...args),
      close: () => here, // it keeps nothing
    };
    return here;
  }
}

async function openWorker() {
  const worker = new Worker(SCRIPT);
  const waiting = new Map();
  let isGone = false;
  const end = (error) => {
    worker.terminate();
    for (const [, reject] of waiting.values()) reject(error);
    waiting.clear();
  };
  const lose = () => {
    isGone = true;
    end(gone());
  };
  const life = await new Promise((resolve, reject) => {
    const fail = (text) => {
      worker.terminate();
      reject(new Error(text));
    };
    worker.addEventListener('error', (event) => fail(event.message ?? 'no script'));
    worker.addEventListener('message', ({data}) =>
      (data.life ? resolve(data.life) : fail(data.error)), {once: true});
  });
  worker.addEventListener('error', lose);
  // Not every end is an event; but whatever ends a worker takes the lock from it.
  navigator.locks.request(life, lose);
  worker.addEventListener('message', ({data: {number, result, error}}) => {
    const [resolve, reject] = waiting.get(number) ?? [];
    waiting.delete(number);
    if (error === undefined) resolve?.(result);
    else reject?.(new Error(error));
  });
  let last = 0;
  return {
    call(method, ...args) {
      return new Promise((resolve, reject) => {
        if (isGone) throw gone();
        waiting.set(++last, [resolve, reject]);
        worker.postMessage({number: last, method, args});
      });
    },
    // With its memory, the network's included; the next film finds a new one.
    close() {
      end(new Error('It was cleared.'));
      return openDesk();
    },
  };
}

function gone() {
  return new Gone('The browser ended the work on it, twice: it may need more memory ' +
    'than this device has. Look at it with covseg triage.');
}
