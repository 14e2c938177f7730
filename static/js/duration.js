// @ts-check
// Counts and durations for people, rounded to their precision. `wait.rs` does the same.

import texts from "./texts/en.js";

const MINUTE_S = 60;
const NUMBER = typeof Intl === "object" ? new Intl.NumberFormat(texts.language) : null;

/**
 * A text with each `{name}` replaced.
 * @param {string} text
 * @param {Record<string, string | number>} values
 */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** @param {number} number */
export function count(number) {
  return NUMBER === null ? String(number) : NUMBER.format(number);
}

/**
 * A number rounded to a step of 1, 2, 5, 10, 20, … that is at least 1 % of it.
 * @param {number} number
 */
export function roughly(number) {
  const floor = Math.ceil(number / 100);
  let step = 1;
  for (let power = 1; step < floor; power *= 10) {
    step = [1, 2, 5].map((factor) => factor * power).find((candidate) => candidate >= floor) ?? 0;
  }
  return Math.floor((number + Math.floor(step / 2)) / step) * step;
}

/**
 * @param {number} users
 * @param {boolean} exact whether they were counted or interpolated (within 0.5 %)
 */
export function ahead(users, exact) {
  if (users === 0) return texts.count.none;
  return exact ? count(users) : fill(texts.count.about, { count: count(roughly(users)) });
}

/** @param {{p50Seconds: number, p90Seconds: number}} estimate */
export function estimate({ p50Seconds, p90Seconds }) {
  const high = Math.ceil(Math.max(p50Seconds, p90Seconds) / MINUTE_S);
  if (Math.max(p50Seconds, p90Seconds) < MINUTE_S) return texts.wait.underMinute;
  const step = high <= 20 ? 1 : high <= 90 ? 5 : high <= 240 ? 15 : 60;
  const from = Math.floor(Math.floor(Math.min(p50Seconds, p90Seconds) / MINUTE_S) / step) * step;
  const to = Math.ceil(high / step) * step;
  if (from === 0) return fill(texts.wait.under, { high: minutes(to) });
  if (from === to) return fill(texts.wait.about, { low: minutes(from) });
  if (to <= 90) return fill(texts.wait.minutes, { low: from, high: to });
  return fill(texts.wait.range, { low: minutes(from), high: minutes(to) });
}

/** @param {number} n */
function minutes(n) {
  if (n === 1) return texts.wait.oneMinute;
  if (n < 90) return fill(texts.wait.manyMinutes, { n });
  const [h, m] = [Math.floor(n / 60), n % 60];
  return fill(m === 0 ? texts.wait.hours : texts.wait.hoursMinutes, { h, m });
}

/**
 * A duration for a countdown: its two largest units.
 * @param {number} ms
 */
export function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const values = {
    d: Math.floor(seconds / 86_400), h: Math.floor(seconds / 3600) % 24,
    m: Math.floor(seconds / 60) % 60, s: seconds % 60,
  };
  const { span: forms } = texts;
  const form = seconds >= 86_400 ? forms.days : seconds >= 3600 ? forms.hours
    : seconds >= 60 ? forms.minutes : forms.seconds;
  return fill(form, values);
}
