// @ts-check
/** Pure: texts and bars from the figures of a show's sales. No DOM, no network. */

/** An amount in the way of its currency. @param {number} minor @param {string} currency */
export function money(minor, currency) {
  const format = new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: "code" });
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  return format.format(minor / 10 ** digits).replace(/\u00a0/g, " ");
}

const count = (/** @type {number} */ n) => Number(n).toLocaleString("en");

/** Of those who were called, how many bought. @param {{calls: number, buyers: number}|undefined} room */
export function conversion(room) {
  if (!room) return "no room";
  if (room.calls === 0) return "nobody called";
  return `${((room.buyers / room.calls) * 100).toFixed(1)} %`;
}

/**
 * The cells of a show's row, by column.
 * @param {Record<string, any>} show @returns {Record<string, string>}
 */
export function cells(show) {
  return {
    sold: show.comp > 0 ? `${count(show.sold)} (${count(show.comp)} given)` : count(show.sold),
    held: count(show.held),
    free: count(show.free),
    gross: money(show.grossMinor, show.currency),
    refunded: money(show.refundedMinor, show.currency),
    net: money(show.netMinor, show.currency),
    conversion: conversion(show.room),
  };
}

/** Heights of bars from 0 to 1; all 0 when nothing was sold. @param {number[]} hours */
export function bars(hours) {
  const top = Math.max(...hours, 0);
  return hours.map((sold) => (top === 0 ? 0 : sold / top));
}

/** What the bars say in words. @param {number[]} hours */
export function told(hours) {
  const all = hours.reduce((sum, sold) => sum + sold, 0);
  const last = hours.at(-1) ?? 0;
  return `${count(all)} tickets in ${hours.length} hours, ${count(last)} in this one, `
    + `at most ${count(Math.max(...hours, 0))} in one`;
}
