"use strict";
// From a value to a place on an axis, and numbers as text. Axis ranges come from
// the data; a point outside its axis is a defect and throws.

const MAPS = {
  lin: v => v,
  near: v => v,
  log: v => Math.log10(v),
  log2: v => Math.log2(v),
  nines: v => -Math.log10(1 - v),
};

/** An axis of `kind` over `values`, with ticks; `lin` starts at zero, `near` does not. */
function axis({ kind, name, format = short }, values) {
  const [least, largest] = extent(values);
  const make = { lin: linear, near, log: decimal, log2: binary, nines: nines }[kind];
  const { lo, hi, ticks } = make(least, largest, format);
  const from = MAPS[kind](lo), span = MAPS[kind](hi) - from;
  const at = v => {
    if (!(v >= lo && v <= hi)) throw new Error(`${v} is outside the axis ${name} (${lo}..${hi})`);
    return (MAPS[kind](v) - from) / span;
  };
  return { at, ticks, name, kind, lo, hi };
}

/** Least and largest without spreading thousands of arguments. */
function extent(values) {
  let lo = Infinity, hi = -Infinity;
  for (const v of values) { if (v < lo) lo = v; if (v > hi) hi = v; }
  if (!isFinite(lo) || !isFinite(hi)) throw new Error("an axis needs finite data");
  return [lo, hi];
}

function linear(least, largest, format) {
  const hi = largest > 0 ? largest * 1.05 : least < 0 ? 0 : 1, lo = least < 0 ? least * 1.05 : 0;
  return { lo, hi, ticks: roundTicks(lo, hi, format) };
}

function near(least, largest, format) {
  const pad = (largest - least) * 0.06 || Math.abs(largest) * 0.05 || 1;
  const lo = least - pad, hi = largest + pad;
  return { lo, hi, ticks: roundTicks(lo, hi, format) };
}

function roundTicks(lo, hi, format) {
  const step = roundStep((hi - lo) / 6), ticks = [];
  for (let i = Math.ceil(lo / step); i <= Math.floor(hi / step); i++) {
    ticks.push({ v: i * step, label: format(i * step) });
  }
  return ticks;
}

function decimal(least, largest, format) {
  const lo = least / 1.15, hi = largest * 1.15, decades = Math.log10(hi / lo), ticks = [];
  for (let e = Math.floor(Math.log10(lo)); e <= Math.ceil(Math.log10(hi)); e++) {
    for (let m = 1; m < 10; m++) {
      const v = m * 10 ** e;
      if (v < lo || v > hi) continue;
      // Decades always, then 2 and 5, then 3 and 7, then all.
      const until = { 1: Infinity, 2: 2.6, 5: 2.6, 3: 1, 7: 1 }[m] ?? 0.5;
      ticks.push({ v, label: decades < until ? format(v) : null });
    }
  }
  return { lo, hi, ticks };
}

function binary(least, largest) {
  const marks = [];
  for (let v = 1; v <= largest; v *= 2) if (v >= least) marks.push(v);
  if (!marks.includes(largest)) {
    while (marks.length && largest / marks[marks.length - 1] < 1.35) marks.pop();
    marks.push(largest);
  }
  const pad = largest > least ? (largest / least) ** 0.02 : 1.3;
  return { lo: least / pad, hi: largest * pad, ticks: marks.map(v => ({ v, label: short(v) })) };
}

function nines(least, largest) {
  const lo = least < 0.5 ? 0 : 0.4;
  const marks = [0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999].filter(q => q >= lo && q <= largest);
  const hi = 1 - 10 ** -(MAPS.nines(largest) + 0.08);
  return { lo, hi, ticks: marks.map(q => ({ v: q, label: percent(q) })) };
}

/** The smallest of 1, 2, 2.5, 5 times a power of ten that is at least `v`. */
function roundStep(v) {
  const power = 10 ** Math.floor(Math.log10(v));
  return [1, 2, 2.5, 5, 10].map(m => m * power).find(s => s >= v * 0.999);
}

/** At most three significant digits, no trailing zeros. */
function short(v) {
  if (v === 0) return "0";
  const digits = Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(v)))));
  const text = v.toFixed(digits);
  return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}

/** `1 thread`, `2 threads`; a number may come as text. */
const counted = (n, noun) => `${n} ${noun}${String(n) === "1" ? "" : "s"}`;

function withUnit(v, units, base) {
  let i = 0;
  while (i < units.length - 1 && Math.abs(v) >= base * 0.9999) { v /= base; i++; }
  return short(v) + units[i];
}

const si = v => withUnit(v, ["", "k", "M", "G"], 1000);
const time = ns => (ns === 0 ? "0" : ns < 0.1 ? "<0.1 ns" : withUnit(ns, [" ns", " µs", " ms", " s"], 1000));
/** A share as a percentage of two digits; rare things are not 0. */
const rare = share => (share > 0 && share < 0.001 ? "<0.1%" : percent(+share.toPrecision(2)));
const percent = q => (+(q * 100).toFixed(4)) + "%";
