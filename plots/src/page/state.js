"use strict";
// What is picked. It is kept in the address, so that a view can be sent and gone back to. Guards that
// every facet has a value that occurs: what is not asked for takes its most common one.

const DATA = JSON.parse(document.getElementById("data").textContent);
const THEMES = ["auto", "light", "dark"];
/** More sets at once than this help nobody. */
const MOST_SETS = 12;

/** The cells as one list each: the page has them shorter. */
(() => {
  const cells = DATA.cells;
  cells.at = cells.at.flatMap(([s, t, g, n]) => Array.from({ length: n }, () => [s, t, g]));
  for (const column of cells.columns.filter(c => c.at)) {
    const values = new Array(cells.at.length).fill(null);
    column.at.forEach((place, i) => { values[place] = column.v[i]; });
    column.v = values;
  }
})();

const unique = list => [...new Set(list)];
const WORKLOADS = unique(DATA.sets.map(s => s.workload));
const MACHINES = unique(DATA.sets.map(s => s.machine));
const RUNS = DATA.runs.map(r => r.id);
/** Schemes in the order of the kernel's history. */
const VARIANTS = DATA.tracks.slice().sort((a, b) => a.rank - b.rank).map(t => t.name);
const THREADS = unique(DATA.sets.flatMap(s => s.tracks.flatMap(t => t.g.map(g => g.n)))).sort((a, b) => a - b);
const KINDS = unique(DATA.sets.flatMap(s => s.tracks.flatMap(t => t.g.flatMap(g => Object.keys(g.lat))))).sort();

/** What a workload ran with; a parameter that it does not have is "none". */
const valueOf = (set, facet) => (facet === "pin" ? set.pin : set.params[facet] ?? "none");

/** Parameters of more than one value, those that a reader asks for first at the beginning. */
const FACETS = (() => {
  const first = ["backing", "fill", "size", "rate"];
  const names = unique(DATA.sets.flatMap(s => Object.keys(s.params))).filter(n => !first.includes(n)).sort();
  return first.concat(names, "pin").filter(name => unique(DATA.sets.map(s => valueOf(s, name))).length > 1);
})();
/** Parameters that all sets have with one value: said once, in the head. */
const CONSTANT = Object.entries(DATA.sets[0].params)
  .filter(([name]) => !FACETS.includes(name) && DATA.sets.every(s => name in s.params));

const DEFAULTS = {
  w: WORKLOADS[0], m: "", run: "", p: {}, v: [], b: "", z: "", i: "", y: "auto", x: "log", t: "max",
  kind: KINDS[0] || "", theme: "auto", q: "", sort: "", page: 0, race: 0, step: -1,
};
let state = read();

function read() {
  const from = new URLSearchParams(location.hash.slice(1)), got = { ...DEFAULTS, p: {} };
  const choice = (name, all) => { if (all.includes(from.get(name))) got[name] = from.get(name); };
  choice("w", ["*", ...WORKLOADS]);
  choice("m", ["*", ...MACHINES]);
  choice("run", ["*", ...RUNS]);
  choice("b", VARIANTS);
  choice("i", VARIANTS);
  choice("y", ["auto", "log", "lin"]);
  choice("x", ["log", "lin"]);
  choice("t", THREADS.map(String));
  choice("kind", KINDS);
  choice("theme", THEMES);
  for (const facet of FACETS) {
    const value = from.get("p." + facet);
    if (value === "*" || DATA.sets.some(s => valueOf(s, facet) === value)) got.p[facet] = value;
  }
  if (from.has("v")) got.v = VARIANTS.filter(name => from.getAll("v").includes(name));
  if (/^\d+-\d+$/.test(from.get("z"))) got.z = from.get("z");
  got.q = from.get("q") || "";
  got.sort = from.get("sort") || "";
  const number = (name, least) => Math.max(least, parseInt(from.get(name), 10) || 0);
  got.page = number("page", 0);
  got.race = Math.min(number("race", 0), Math.max(0, DATA.races.length - 1));
  if (from.has("step")) got.step = number("step", 0);
  return got;
}

function written() {
  const to = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (name === "p") Object.entries(value).forEach(([facet, v]) => to.set("p." + facet, v));
    else if (Array.isArray(value)) value.forEach(v => to.append(name, v));
    else if (value !== DEFAULTS[name]) to.set(name, value);
  }
  return to.toString();
}

/** Sections that alone depend on these. */
const PART_OF = { q: "raw", sort: "raw", page: "raw", race: "races", step: "races" };

/** Changes the state; what depends on it is drawn anew. */
function update(change) {
  const names = Object.keys(change), parts = unique(names.map(n => PART_OF[n]));
  state = { ...state, ...change };
  // Neither a letter of a filter nor a step of a race is one to go back to.
  if (names.some(n => n === "q" || n === "step")) location.replace("#" + written());
  else location.hash = written();
  render(parts.length === 1 ? parts[0] : undefined);
}

addEventListener("hashchange", () => {
  if (location.hash.slice(1) === written()) return;
  state = read();
  render();
});

// ---- what is visible ----

const trackOf = track => DATA.tracks[track.t];
const nameOf = track => trackOf(track).name;
const lookOf = track => trackOf(track).look;
/** Not a step within a change of the kernel, nor the strawman: those have odd ranks. */
const isReleased = name => DATA.tracks.find(t => t.name === name).rank % 2 === 0;
const picked = name => state.v.length === 0 || state.v.includes(name);
/** One series alone speaks: all others are drawn faintly. */
const faint = name => state.i !== "" && state.i !== name;

const weightOf = sets => sets.reduce((sum, s) => sum + s.tracks.reduce((n, t) => n + t.g.length, 0), 0);

/** The value of most points. */
function usual(sets, value) {
  const all = unique(sets.map(value));
  const weights = new Map(all.map(v => [v, weightOf(sets.filter(s => value(s) === v))]));
  return all.reduce((best, v) => (weights.get(v) > weights.get(best) ? v : best));
}

/** Of a workload what was measured most, and what was predicted most. */
function usualMachines(sets) {
  return [false, true].flatMap(predicted => {
    const here = sets.filter(s => s.predicted === predicted);
    return here.length ? [usual(here, s => s.machine)] : [];
  });
}

const placeOf = set => JSON.stringify([set.machine, set.workload, set.params, set.pin]);

/** The sets of one machine that the facets leave; `like` holds what the machine before took. */
function narrowed(sets, like) {
  for (const facet of FACETS) {
    const asked = state.p[facet], value = s => valueOf(s, facet);
    if (asked === "*" || !sets.length) continue;
    const kept = asked ?? (sets.some(s => value(s) === like[facet]) ? like[facet] : usual(sets, value));
    sets = sets.filter(s => value(s) === kept);
    like[facet] ??= kept;
  }
  if (state.run) return sets;
  const id = s => RUNS[s.runs[0]];
  return sets.filter(s => sets.every(other => placeOf(other) !== placeOf(s) || id(other) <= id(s)));
}

/** The sets of a workload that are shown, those that were measured first. */
function setsOf(workload) {
  const ran = s => !state.run || state.run === "*" || RUNS[s.runs[0]] === state.run;
  const all = DATA.sets.filter(s => s.workload === workload && ran(s)), like = {};
  const machines = state.m === "" ? usualMachines(all) : MACHINES.filter(m => state.m === "*" || m === state.m);
  const of = machine => all.filter(s => s.machine === machine);
  // What has most points says which values are usual, and the others take them where they can.
  const kept = new Map(machines.slice().sort((a, b) => weightOf(of(b)) - weightOf(of(a))).map(m => [m, narrowed(of(m), like)]));
  return machines.flatMap(m => kept.get(m));
}

const pickedWorkloads = () => (state.w === "*" ? WORKLOADS : [state.w]);

/** The sets as the charts take them: with their words, and the picked schemes alone. */
function visible() {
  return pickedWorkloads().flatMap(setsOf)
    .map(s => ({ ...s, set: s, short: shortOf(s), source: sourceOf([s]), tracks: s.tracks.filter(t => picked(nameOf(t))) }))
    .filter(s => s.tracks.length);
}

/** The conditions, without what all sets have in common. */
function shortOf(set) {
  const alike = DATA.sets.filter(s => s.workload === set.workload);
  const told = FACETS.filter(f => unique(alike.map(s => valueOf(s, f))).length > 1 && valueOf(set, f) !== "none");
  return [set.workload, ...told.map(f => `${f} ${valueOf(set, f)}`), `${set.origin} ${set.machine}`].join(", ");
}

/** Which runs, commits and hardware: the small print of a chart. */
function sourceOf(sets) {
  const lines = unique(sets.flatMap(s => s.runs)).map(i => DATA.runs[i].source);
  return lines.length > 3 ? lines.slice(0, 2).concat(`and ${lines.length - 2} more runs`) : lines;
}

/** The point of a track at the picked thread count; "max" is the most that all of its set have. */
const pointOf = track => track.g.find(g => String(g.n) === (state.t === "max" ? String(track.d) : state.t));
const threadsText = set => {
  const all = unique(set.tracks.map(pointOf).filter(Boolean).map(g => g.n));
  return all.length === 1 ? counted(all[0], "thread") : "each variant's most threads";
};

/** What a track is held against: the base that was picked, or the scheme that the kernel had before. */
function baseOf(set, track) {
  const all = (set.set || set).tracks;
  const base = state.b ? all.find(t => nameOf(t) === state.b) : all[track.b];
  return base === track ? undefined : base;
}
