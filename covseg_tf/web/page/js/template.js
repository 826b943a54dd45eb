/**
 * What the report's template, as `covseg_tf/web/template.py` writes it, is made of.
 * @module
 */

const NAMES = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;', "'": '&#39;'};
// As Python's `str.isprintable` has it: neither control nor odd space.
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

/** Filters by name, as `covseg_tf/triage/report/html.py` has them. */
export const filters = {
  images: (count) => (count === 1 ? '1 image' : `${count} images`),
  percent,
  rounded,
  whole: (value) => `${rounded(value)} %`,
};

/**
 * A percentage as a reader is shown it: whole, never "0 %".
 * @param {?number} value Percent, `null` for none, which is a dash.
 * @returns {string} Words.
 */
export function percent(value) {
  if (value === null) return '–';
  if (value === 0) return 'none seen';
  return value < 0.5 ? '< 1 %' : `${rounded(value)} %`;
}

/**
 * Makes a value of a template fit for HTML: printable and escaped.
 * @param {*} value What is filled in.
 * @returns {string} The same as HTML shows it.
 */
export function shown(value) {
  return String(value).replace(UNPRINTABLE, '\ufffd')
    .replace(/[&<>"']/g, (mark) => NAMES[mark]);
}

/**
 * An entry of an object.
 * @param {object} object Any.
 * @param {string|number} name The entry's name or place.
 * @returns {*} The entry.
 * @throws {Error} If there is none: a template never fills in nothing.
 */
export function member(object, name) {
  const value = object[name];
  if (value === undefined) throw new Error(`The report's template misses "${name}".`);
  return value;
}

/**
 * Whether a template takes a value for true: lists by their length.
 * @param {*} value Any.
 * @returns {boolean} Whether it does.
 */
export function isTrue(value) {
  return Boolean(Array.isArray(value) ? value.length : value);
}

/**
 * The numbers below one.
 * @param {number} end The first that is left out.
 * @returns {number[]} 0, 1, 2 and so on.
 */
export function range(end) {
  return Array.from({length: end}, (_, index) => index);
}

function rounded(value) {
  // Of the two decimals that the files keep: screen and report say the same.
  return Math.floor(Number(value.toFixed(2)) + 0.5);
}
