"use strict";
// The page: what is picked (kept in the address), and a section for each question.

const DATA = JSON.parse(document.getElementById("data").textContent);
const QUANTILES = [0.5, 0.9, 0.99, 0.999, 0.9999];
const THEMES = ["auto", "light", "dark"];
/** More pairs of workload and machine than this at once help nobody. */
const MOST_SETS = 12;

const unique = list => [...new Set(list)];
const MACHINES = unique(DATA.sets.map(s => s.machine));
const WORKLOADS = unique(DATA.sets.map(s => s.workload));
const VARIANTS = DATA.tracks.map(t => t.name);
const THREADS = unique(DATA.sets.flatMap(s => s.tracks.flatMap(t => t.g.map(g => g.n)))).sort((a, b) => a - b);
const KINDS = unique(DATA.sets.flatMap(s => s.tracks.flatMap(t => t.g.flatMap(g => Object.keys(g.lat))))).sort();

// ---- state, in the address ----

const DEFAULTS = {
  m: [], w: WORKLOADS.slice(0, 1), v: [], y: "auto", x: "log", t: "max", kind: KINDS[0] || "",
  theme: "auto", q: "", sort: "", page: 0,
};
let state = read();

function read() {
  const from = new URLSearchParams(location.hash.slice(1)), got = { ...DEFAULTS };
  const known = (list, all) => list.filter(x => all.includes(x));
  if (from.has("m")) got.m = known(from.getAll("m"), MACHINES);
  if (from.has("w")) got.w = known(from.getAll("w"), WORKLOADS);
  if (from.has("v")) got.v = known(from.getAll("v"), VARIANTS);
  const choice = (name, all) => { if (all.includes(from.get(name))) got[name] = from.get(name); };
  choice("y", ["auto", "log", "lin"]);
  choice("x", ["log", "lin"]);
  choice("t", THREADS.map(String));
  choice("kind", KINDS);
  choice("theme", THEMES);
  got.q = from.get("q") || "";
  got.sort = from.get("sort") || "";
  got.page = Math.max(0, parseInt(from.get("page"), 10) || 0);
  return got;
}

function written() {
  const to = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (JSON.stringify(value) === JSON.stringify(DEFAULTS[name])) continue;
    if (!Array.isArray(value)) to.set(name, value);
    else if (value.length) value.forEach(v => to.append(name, v));
    else to.set(name, "*");
  }
  return to.toString();
}

/** Changes the state; what depends on it is drawn anew. */
function update(change) {
  state = { ...state, ...change };
  // Each letter of a filter is no step to go back to.
  if (Object.keys(change).includes("q")) location.replace("#" + written());
  else location.hash = written();
  render(Object.keys(change).every(k => ["q", "sort", "page"].includes(k)));
}

addEventListener("hashchange", () => {
  if (location.hash.slice(1) === written()) return;
  state = read();
  render(false);
});

/** An empty list picks everything. */
const picked = (list, name) => list.length === 0 || list.includes(name);

function toggled(list, all, name) {
  const now = list.length ? list : all;
  const next = now.includes(name) ? now.filter(n => n !== name) : all.filter(n => now.includes(n) || n === name);
  return next.length === all.length ? [] : next;
}

// ---- what is visible ----

const nameOf = track => DATA.tracks[track.t].name;
const lookOf = track => DATA.tracks[track.t].look;

/** Which runs, commits and hardware: the small print of a chart. */
function sourceOf(sets) {
  const lines = unique(sets.flatMap(s => s.runs)).map(i => DATA.runs[i].source);
  return lines.length > 3 ? lines.slice(0, 2).concat(`and ${lines.length - 2} more runs`) : lines;
}

function visible() {
  const sets = DATA.sets
    .filter(s => picked(state.m, s.machine) && picked(state.w, s.workload))
    .map(s => ({ ...s, source: sourceOf([s]), tracks: s.tracks.filter(t => picked(state.v, nameOf(t))) }))
    .filter(s => s.tracks.length);
  return sets;
}

/** The point of a track at the picked thread count; "max" is the most that all of its set have. */
const pointOf = track => track.g.find(g => String(g.n) === (state.t === "max" ? String(track.d) : state.t));
const threadsText = set => {
  const all = unique(set.tracks.map(pointOf).filter(Boolean).map(g => g.n));
  return all.length === 1 ? counted(all[0], "thread") : "each variant's most threads";
};

const yKind = values => {
  if (state.y !== "auto") return state.y;
  const [lo, hi] = extent(values);
  return lo > 0 && hi / lo > 8 ? "log" : "lin";
};
const xAxis = () => ({ kind: state.x === "log" ? "log2" : "lin", name: "threads" });
/** A fourth number says that the ends are a range of too few trials for an interval. */
const ends = (v, format) => `${format(v[0])}  (${v[3] ? "range" : "95 %"}: ${format(v[1])} to ${format(v[2])})`;
const spread = (v, format) => `${format(v[0])}  (trials: ${format(v[1])} to ${format(v[2])})`;
const trials = g => `n = ${counted(g.k, "trial")}`;

/** Curves against threads of one field of the points. */
function curves(set, field, format, words) {
  return set.tracks.map(track => ({
    name: nameOf(track), look: lookOf(track), hollow: set.predicted,
    points: track.g.map(g => [g, field(g)]).filter(([, v]) => v).map(([g, v]) => ({
      x: g.n, y: v[0], lo: v[1], hi: v[2],
      tip: `${counted(g.n, "thread")}: ${words(v, format)}\n${trials(g)}`,
    })),
  })).filter(c => c.points.length);
}

function againstThreads(set, title, name, format, field, words, extra = {}) {
  const list = curves(set, field, format, words);
  if (!list.length) return absent(title, `${set.short}: ${extra.needs || "not in this run"}`);
  const kind = extra.kind || yKind(list.flatMap(c => c.points.flatMap(p => [p.lo, p.y, p.hi])));
  return lineChart({ title, sub: set.short, source: set.source, x: xAxis(), y: { kind, name, format }, curves: list, guides: extra.guides });
}

// ---- the sections ----

function overview(sets) {
  const others = DATA.sets.filter(s => picked(state.m, s.machine) && !picked(state.w, s.workload));
  return [
    el("div", { class: "verdicts" }, sets.map(set => el("div", { class: "verdict" },
      el("b", {}, set.conditions),
      set.verdict.map((words, i) => (i === 0 ? el("p", { class: "first" }, words) : null)),
      el("ul", {}, set.verdict.slice(1).map(words => el("li", {}, words))),
      set.refused ? el("p", { class: "muted" },
        `Left out: ${counted(set.refused, "cell")}; their workers overlapped for less than 95 % of the time.`) : null))),
    others.length ? el("p", { class: "muted" }, "Not picked:") : null,
    others.length ? el("ul", { class: "others" }, others.slice(0, 4 * MOST_SETS).map(set => el("li", {},
      el("button", { onclick: () => update({ w: [set.workload], page: 0 }) }, set.short), " ", set.verdict[0]))) : null,
  ];
}

const NEEDS_ONE = "needs trials at one thread";

function scaling(sets) {
  return sets.flatMap(set => {
    const speed = curves(set, g => g.s, short, ends).flatMap(c => c.points);
    const most = Math.max(1, ...speed.map(p => p.x)), top = Math.min(most, 1.6 * Math.max(1, ...speed.map(p => p.hi)));
    const steps = Array.from({ length: 41 }, (_, i) => top ** (i / 40));
    return grid([
      againstThreads(set, "Throughput", "operations per second", si, g => g.x, ends),
      againstThreads(set, "Speedup over one thread", "times the median at 1 thread", v => short(v) + "×", g => g.s, ends,
        { needs: NEEDS_ONE, guides: [{ name: "ideal", points: steps.map(v => [v, v]) }] }),
      againstThreads(set, "Scaling efficiency", "speedup / threads", v => percent(+v.toPrecision(3)),
        g => g.s && g.s.map(v => v / g.n), ends, { needs: NEEDS_ONE, guides: [{ name: "", points: [[1, 1], [most, 1]] }] }),
    ]);
  });
}

function law(sets) {
  return sets.map(set => {
    const fitted = set.tracks.filter(t => t.usl);
    if (!fitted.length) return absent("Fit", `${set.short}: three parameters need four thread counts`);
    const fits = fitted.map(track => ({ name: nameOf(track), look: lookOf(track), dash: track.usl.fits ? "" : "2 5", marks: false,
      points: track.usl.curve.map(([n, x, lo, hi]) => ({ x: n, y: x, lo, hi,
        tip: `fit at ${counted(short(n), "thread")}: ${ends([x, lo, hi], si)}` })) }));
    const measured = curves({ ...set, tracks: fitted }, g => g.x, si, ends).map(c => ({ ...c, stroke: false }));
    const list = fits.concat(measured);
    const band = fitted.some(t => t.usl.sigma95) ? " with its 95 % band" : "";
    const chart = lineChart({ title: "Universal Scalability Law", sub: `${set.short}; lines: fit${band}, dotted where it does not fit; marks: medians`,
      source: set.source, x: xAxis(), y: { kind: yKind(list.flatMap(c => c.points.map(p => p.y))), name: "operations per second", format: si },
      curves: list });
    const head = ["variant", "λ: ops/s at 1", "σ: contention (95 %)", "κ: coherence (95 %)", "peak, threads", "error", "verdict"];
    const between = (v, i) => `${small(v)} (${i ? `${small(i[0])} to ${small(i[1])}` : "too few trials"})`;
    const rows = fitted.map(track => {
      const u = track.usl;
      return [nameOf(track), si(u.lambda), between(u.sigma, u.sigma95), between(u.kappa, u.kappa95),
        u.peak === null ? "none" : short(u.peak), percent(+u.error.toPrecision(2)), u.fits ? "fits" : "does not fit"];
    });
    return el("div", { class: "fit" }, chart, simpleTable(head, rows));
  });
}

const small = v => (v !== 0 && Math.abs(v) < 1e-4 ? v.toExponential(2) : short(v));

function simpleTable(head, rows) {
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, head.map(h => el("th", { scope: "col" }, h)))),
    el("tbody", {}, rows.map(row => el("tr", {}, row.map((v, i) => el("td", { class: i ? "number" : null }, v)))))));
}

function percentiles(set, field, name, extra = {}) {
  return set.tracks.map(track => {
    const g = pointOf(track), list = g && g[field][state.kind];
    return { name: nameOf(track) + name, look: lookOf(track), hollow: extra.hollow ?? set.predicted, dash: extra.dash,
      points: (list || []).map((v, i) => v && { x: QUANTILES[i], y: v[0], lo: v[1], hi: v[2],
        tip: `${percent(QUANTILES[i])}: ${spread(v, time)}\n${trials(g)}` }).filter(Boolean) };
  }).filter(c => c.points.length);
}

function latency(sets) {
  if (!KINDS.length) return [absent("Latency", "no operation was timed")];
  return sets.map(set => {
    const x = { kind: "nines", name: "percentile" }, y = { kind: state.y === "lin" ? "lin" : "log", name: "time", format: time };
    const at = `at ${threadsText(set)}`, list = percentiles(set, "lat", "");
    const response = percentiles(set, "resp", " response", { hollow: false, dash: "" });
    const p99 = index => g => (g.lat[state.kind] || [])[index];
    const title = `Latency of ${state.kind} ${at}`;
    return grid([
      list.length ? lineChart({ title, sub: set.short, source: set.source, x, y, curves: list }) : absent(title, `${set.short}: not timed`),
      ...distribution(set, x, y),
      response.length ? lineChart({ title: `Response and service time of ${state.kind} ${at}`, sub: set.short, source: set.source, x, y,
        curves: response.concat(percentiles(set, "lat", " service", { hollow: true, dash: "4 4" })) }) : null,
      againstThreads(set, `99th percentile of ${state.kind}`, "time", time, p99(2), spread,
        { kind: y.kind, needs: "too few operations were timed" }),
    ]);
  });
}

/** From the histograms of the most threads: the whole curve, and a map over time. */
function distribution(set, x, y) {
  const found = set.tracks.filter(t => t.hdr && t.hdr[state.kind]);
  if (!found.length || state.t !== "max") return [];
  const list = found.map(track => ({ name: nameOf(track), look: lookOf(track), marks: false,
    points: track.hdr[state.kind].curve.filter(([, ns]) => ns > 0).map(([q, ns]) => ({ x: q, y: ns,
      tip: `${percent(q)}: ${time(ns)}\nall trials in one histogram` })) }));
  const timed = found.filter(t => t.hdr[state.kind].heat), range = timed.flatMap(t => [t.hdr[state.kind].heat.lo, t.hdr[state.kind].heat.hi]);
  const maps = timed.map(track => heatMap({
    title: `${state.kind} over time: ${nameOf(track)}`, sub: `${set.short}; first trial; darker: more operations`,
    source: set.source, look: lookOf(track), heat: track.hdr[state.kind].heat, range }));
  return [lineChart({ title: `Distribution of ${state.kind} at ${threadsText(set)}`, sub: `${set.short}; all trials merged`, source: set.source,
    x, y, curves: list }), ...maps];
}

function contention(sets) {
  return grid(sets.map(set => {
    const title = `Waiting by lock site at ${threadsText(set)}`;
    const blocks = blocksOf(set, (track, g) => g.sites.filter(s => s[2] !== null).map(([lock, caller, wait, share, n, longest]) => {
      const often = share === null ? `contended ${counted(si(n), "time")}` : `${rare(share)} contended`;
      return { label: `${lock}  ${caller}`, parts: [[wait, colour(lookOf(track))]],
        note: n ? `${time(wait)}, ${often}, max ${time(longest)}` : "never contended" };
    }), true);
    return blocks.length ? barChart({ title, sub: `${set.short}; time per operation, over all trials`, source: set.source, blocks })
      : absent(title, `${set.short}: ${set.nosites || "no lock site was recorded"}`);
  }), true);
}

function counters(sets) {
  return grid(sets.map(set => {
    const title = `Counters per operation at ${threadsText(set)}`;
    const points = set.tracks.map(t => [t, pointOf(t)]).filter(([, g]) => g);
    const names = unique(points.flatMap(([, g]) => Object.keys(g.ctr)));
    if (!names.length) return absent(title, `${set.short}: no counter was recorded`);
    const blocks = names.map(name => {
      const most = Math.max(1e-300, ...points.map(([, g]) => (Array.isArray(g.ctr[name]) ? g.ctr[name][2] : 0)));
      return { name, rows: points.map(([track, g]) => {
        const v = g.ctr[name];
        if (!Array.isArray(v)) return { label: nameOf(track), words: v === undefined ? "not asked for" : DATA.reasons[v] };
        return { label: nameOf(track), parts: [[v[0] / most, colour(lookOf(track))]], lo: v[1] / most, hi: v[2] / most,
          note: `${small(v[0])} (${small(v[1])} to ${small(v[2])})`, tip: trials(g) };
      }) };
    });
    for (const block of blocks) {
      const reasons = unique(block.rows.map(r => r.words));
      if (reasons.length === 1 && reasons[0] !== undefined) block.rows = [{ label: "all variants", words: reasons[0] }];
    }
    return barChart({ title, sub: `${set.short}; each against its largest; black: range of the trials`, source: set.source, blocks });
  }), true);
}

/** A block of bars for each track that has rows. */
function blocksOf(set, rows) {
  return set.tracks.map(track => {
    const g = pointOf(track);
    return { name: nameOf(track), look: lookOf(track), rows: (g ? rows(track, g) : []).map(row => ({ ...row, tip: trials(g) })) };
  }).filter(b => b.rows.length);
}

function transfers(sets) {
  const by = (what, which, hottest) => grid(sets.map(set => {
    const title = `Cache line transfers by ${what} at ${threadsText(set)}`;
    const rowsOf = g => (g && g.lines ? g.lines[which] : []);
    const names = unique(set.tracks.map(pointOf).flatMap(g => rowsOf(g).flatMap(l => l[1].map(([d]) => d))));
    if (!names.length) return hottest && absent(title, `${set.short}: this machine cannot tell which lines moved`);
    const shade = name => partColour(names.indexOf(name));
    const blocks = blocksOf(set, (track, g) => rowsOf(g).map(([label, moved, wait]) => ({
      label, parts: moved.map(([d, n]) => [n, shade(d)]),
      note: `${short(moved.reduce((sum, [, n]) => sum + n, 0))} transfers, wait ${time(wait)}` })).concat(
      hottest && g.lines.hottest.length ? [{ label: "hottest lines", words: g.lines.hottest.slice(0, 3).map(([n, x]) => `${n} ${short(x)}`).join(", ") }] : []));
    return barChart({ title, sub: `${set.short}; per operation`, source: set.source, blocks, legend: names.map(n => [n, shade(n)]) });
  }), true);
  return [by("field", "fields", true), by("lock caller", "callers", false)];
}

function swapoff(sets) {
  const bars = sets.map(set => {
    const title = `swapoff by step at ${threadsText(set)}`;
    const there = set.tracks.map(pointOf).flatMap(g => (g && g.off ? g.off.steps.map(s => s[0]) : []));
    const names = set.steps.filter(n => there.includes(n));
    if (!names.length) return absent(title, `${set.short}: no swapoff was recorded`);
    const shade = name => partColour(names.indexOf(name));
    const blocks = blocksOf(set, (track, g) => (g.off ? [
      { label: `${g.off.clusters} clusters`, parts: g.off.steps.map(([n, ns]) => [ns, shade(n)]), lo: g.off.total[1], hi: g.off.total[2],
        note: `${time(g.off.total[0])} (n = ${counted(g.off.k, "trial")})` },
      { label: "", words: g.off.steps.map(([n, ns]) => `${n} ${time(ns)}`).join(", ") }] : []));
    return barChart({ title, sub: `${set.short}; black: 95 % interval of the total, by trial; the range of fewer than 6`, source: set.source, blocks, legend: names.map(n => [n, shade(n)]) });
  });
  return [grid(bars, true), grid(swapoffBySize())];
}

/** Over the sizes of the device, all other conditions being the same. */
function swapoffBySize() {
  const groups = new Map();
  for (const set of DATA.sets.filter(s => picked(state.m, s.machine))) {
    for (const track of set.tracks.filter(t => picked(state.v, nameOf(t)))) {
      const g = pointOf(track);
      if (!g || !g.off || !g.off.clusters) continue;
      const key = set.conditions.replace(/(, )?size [^,)]*/, "").replace(" ()", "").replace("(, ", "(");
      const group = groups.get(key) || groups.set(key, { sets: [], tracks: [], curves: new Map() }).get(key), here = group.curves;
      group.sets.push(set);
      group.tracks.push(track);
      const curve = here.get(nameOf(track)) || here.set(nameOf(track), { name: nameOf(track), look: lookOf(track), points: [] }).get(nameOf(track));
      const [y, lo, hi] = g.off.total;
      curve.points.push({ x: g.off.clusters, y, lo, hi, tip: `${g.off.clusters} clusters: ${ends(g.off.total, time)}\nn = ${counted(g.off.k, "swapoff")}` });
    }
  }
  return [...groups].map(([key, group]) => {
    const list = [...group.curves.values()].map(c => ({ ...c, points: c.points.sort((a, b) => a.x - b.x) })).filter(c => unique(c.points.map(p => p.x)).length > 1);
    return list.length ? lineChart({ title: `swapoff against device size at ${threadsText(group)}`, sub: key, source: sourceOf(group.sets),
      x: { kind: "log2", name: "clusters of the device" }, y: { kind: "log", name: "time", format: time }, curves: list }) : null;
  });
}

function fairness(sets) {
  return sets.map(set => {
    const many = { ...set, tracks: set.tracks.map(t => ({ ...t, g: t.g.filter(g => g.n > 1) })).filter(t => t.g.length) };
    if (!many.tracks.length) return [absent("Fairness", `${set.short}: needs more than one thread`)];
    const title = `Share of each thread at ${threadsText(many)}`;
    const list = many.tracks.map(track => {
      const g = pointOf(track);
      const shares = g ? g.share.slice().sort((a, b) => a - b) : [];
      return { name: nameOf(track), look: lookOf(track), dash: "", points: shares.map((y, i) => ({
        x: (i + 0.5) / shares.length, y, tip: `${short(y)} of the fair share\nthread ${i + 1} of ${shares.length} by rank, first trial` })) };
    }).filter(c => c.points.length);
    return grid([
      againstThreads(many, "Jain's index", "1 is fair", short, g => g.j, spread, { kind: "near" }),
      list.length ? lineChart({ title, sub: `${set.short}; threads by rank, first trial`, source: set.source,
        guides: [{ name: "", points: [[0, 1], [1, 1]] }], x: { kind: "lin", name: "threads, least served first", format: percent },
        y: { kind: "near", name: "of the fair share", format: short }, curves: list.map(c => ({ ...c, marks: c.points.length < 24 })) }) : null,
    ]);
  });
}

function series(sets) {
  const charts = sets.flatMap(set => {
    const names = unique(set.tracks.flatMap(t => t.series.map(s => JSON.stringify([s.name, s.unit]))));
    return names.map(key => {
      const [name, unit] = JSON.parse(key);
      const list = set.tracks.map(t => [t, t.series.find(s => s.name === name && s.unit === unit)]).filter(([, s]) => s && s.points.length > 1)
        .map(([t, s]) => ({ name: nameOf(t), look: lookOf(t),
          points: s.points.map(([x, y]) => ({ x, y, tip: `${short(x)} s: ${si(y)} ${unit}\none trial` })) }));
      return list.length ? lineChart({ title: `${name} over time`, sub: `${set.short}; first trial, most threads`, source: set.source,
        x: { kind: "lin", name: "seconds" }, y: { kind: "lin", name: unit, format: si }, curves: list.map(c => ({ ...c, marks: false })) }) : null;
    });
  });
  return charts.some(Boolean) ? grid(charts) : [absent("Values over time", "none were recorded")];
}

function predicted(sets) {
  const charts = unique(sets.map(s => s.workload)).map(workload => {
    const here = sets.filter(s => s.workload === workload);
    if (!here.some(s => s.predicted) || here.every(s => s.predicted)) return null;
    const on = predicted => unique(here.filter(s => s.predicted === predicted).map(s => s.machine)), several = on(true).length + on(false).length > 2;
    const named = (c, set) => c.name + (several ? ` · ${set.machine}` : set.predicted ? ", model" : "");
    const list = here.flatMap(set => curves(set, g => g.x, si, ends).map(c => ({ ...c, name: named(c, set), dash: set.predicted ? "5 5" : "" })));
    return lineChart({ title: "Predicted and measured throughput",
      sub: `${workload}; solid: measured on ${on(false).join(", ")}, dashed: predicted for ${on(true).join(", ")}`, source: sourceOf(here),
      x: xAxis(), y: { kind: yKind(list.flatMap(c => c.points.map(p => p.y))), name: "operations per second", format: si }, curves: list });
  });
  return charts.some(Boolean) ? grid(charts)
    : [absent("Prediction against measurement", "needs a measured and a predicted run of one workload, both picked")];
}

/** Charts that come as pictures, of the sets that are picked. */
function pictures() {
  const { kept, left_out: left } = DATA.pictures;
  const shown = kept.filter(p => p.sets.some(i => picked(state.m, DATA.sets[i].machine) && picked(state.w, DATA.sets[i].workload)));
  const here = shown.slice(0, 2 * MOST_SETS).map(picture);
  return [
    here.length ? grid(here, true) : absent("More charts", "none of what is picked"),
    left.length ? el("p", { class: "muted" }, `For its size this page leaves out: ${unique(left).join(", ")}. They are beside it as files.`) : null,
  ];
}

function races() {
  if (!DATA.races.length) return [absent("Race diagrams", "the checker's findings were not given to this page")];
  return DATA.races.map((race, i) => el("details", i ? {} : { open: "" },
    el("summary", {}, el("b", {}, race.title), race.about ? `: ${race.about}` : ""), el("pre", {}, race.text)));
}

function environment() {
  return DATA.runs.map(run => el("details", DATA.runs.length < 3 ? { open: "" } : {},
    el("summary", {}, `${run.id}, ${run.origin} ${run.machine}`),
    el("table", {}, el("tbody", {}, run.rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "wide" }, value)))))));
}

/** Charts side by side; what is absent is said below them. */
function grid(charts, wide = false) {
  const all = charts.flat(Infinity).filter(Boolean), missing = all.filter(c => c.className === "absent");
  return [el("div", { class: wide ? "charts wide" : "charts" }, all.filter(c => !missing.includes(c))), missing];
}

const SECTIONS = [
  ["overview", "Overview", overview], ["scaling", "Throughput and scaling", scaling], ["usl", "Scalability law", law],
  ["latency", "Latency", latency], ["contention", "Lock contention", contention], ["counters", "Counters", counters],
  ["transfers", "Line transfers", transfers], ["swapoff", "swapoff", swapoff], ["fairness", "Fairness", fairness],
  ["series", "Over time", series], ["predicted", "Predicted and measured", predicted], ["pictures", "More charts", pictures], ["races", "Races", races],
  ["environment", "Environment", environment], ["raw", "Raw cells", () => table(DATA, state, update)],
];

// ---- the page itself ----

function picker(name, key, all, show = x => x) {
  if (all.length < 2 && key !== "v") return null;
  const chips = all.map((value, i) => el("button", { "aria-pressed": String(picked(state[key], value)), "data-pick": `${key}:${value}`,
    onclick: () => update({ [key]: toggled(state[key], all, value), page: 0 }) }, key === "v" ? swatch(DATA.tracks[i].look) : null, show(value)));
  return el("div", { class: "picker", role: "group", "aria-label": name }, el("span", {}, name), chips,
    all.length > 2 ? el("button", { onclick: () => update({ [key]: [], page: 0 }), "data-pick": `${key}:all` }, "all") : null);
}

function select(name, key, options) {
  if (options.length < 2) return null;
  return el("label", { class: "picker" }, el("span", {}, name),
    el("select", { id: `pick-${key}`, onchange: event => update({ [key]: event.target.value }) },
      options.map(([value, text]) => el("option", { value, selected: String(state[key]) === value ? "" : null }, text))));
}

function pickers() {
  return el("div", {},
    picker("machine", "m", MACHINES), picker("workload", "w", WORKLOADS), picker("variant", "v", VARIANTS),
    select("threads", "t", [["max", "most"]].concat(THREADS.map(n => [String(n), String(n)]))),
    select("operation", "kind", KINDS.map(k => [k, k])),
    select("y", "y", [["auto", "auto"], ["log", "log"], ["lin", "linear"]]),
    select("x", "x", [["log", "log"], ["lin", "linear"]]),
    el("button", { id: "theme", title: "key d", onclick: nextTheme }, `theme: ${state.theme}`));
}

const nextTheme = () => update({ theme: THEMES[(THEMES.indexOf(state.theme) + 1) % THEMES.length] });

function applyTheme() {
  const dark = state.theme === "dark" || (state.theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.classList.toggle("dark", dark && !printing);
}

let printing = false;
addEventListener("beforeprint", () => { printing = true; applyTheme(); });
addEventListener("afterprint", () => { printing = false; applyTheme(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);

function build() {
  const runs = DATA.runs.map(r => r.id).join(", "), bar = el("div", { class: "pickers" });
  document.body.append(
    el("header", {}, el("h1", {}, "swapscale report"),
      el("div", { class: "muted" }, `${runs}; ${DATA.cells.at.length} cells`),
      el("nav", { "aria-label": "sections" }, SECTIONS.map(([id, name]) => el("a", { href: "#", "data-to": id,
        onclick: event => { event.preventDefault(); document.getElementById(id).scrollIntoView(); } }, name)))),
    bar,
    el("main", {}, SECTIONS.map(([id, name]) => el("section", { id, tabindex: -1 },
      el("h2", {}, name),
      id === "raw" ? el("input", { id: "filter", type: "search", placeholder: "filter: words, e.g. percluster 64", size: 36, value: state.q,
        "aria-label": "filter cells", oninput: event => update({ q: event.target.value, page: 0 }) }) : null,
      el("div", { class: "body" })))),
    el("footer", {}, "Points are medians over trials; bands and bars are 95 % bootstrap intervals, or the range of fewer than 6 trials, unless a chart says otherwise. "
      + "Keys: / filter, l linear or log, d theme, arrows in a chart read its points."),
    el("div", { id: "tip", role: "status", hidden: "" }));
  // A section that is gone to must not begin under the bar that stays on top.
  const covered = () => (getComputedStyle(bar).position === "sticky" ? bar.offsetHeight : 0);
  new ResizeObserver(() => document.body.style.setProperty("--covered", `${covered()}px`)).observe(bar);
}

/** What finds an element again when it has been drawn anew, or null. */
function selector(element) {
  const by = name => element.hasAttribute(name) && `[${name}="${CSS.escape(element.getAttribute(name))}"]`;
  return element.id ? `#${element.id}` : by("data-pick") || by("data-sort") || by("aria-label") || null;
}

/** Draws all sections, or the table alone. */
function render(tableOnly) {
  const focused = selector(document.activeElement);
  applyTheme();
  const sets = visible(), shown = sets.slice(0, MOST_SETS);
  for (const [id, , draw] of SECTIONS) {
    if (tableOnly && id !== "raw") continue;
    const body = document.querySelector(`#${id} .body`);
    const nothing = !sets.length && !["pictures", "races", "environment", "raw"].includes(id);
    const parts = nothing ? [absent("Nothing", "no variant, workload and machine picked together")] : draw(shown);
    const more = id === "overview" && sets.length > shown.length
      ? [el("p", { class: "muted" }, `The first ${MOST_SETS} of ${sets.length} are shown; pick fewer machines or workloads.`)] : [];
    body.replaceChildren(...[parts, more].flat(Infinity).filter(Boolean));
  }
  if (!tableOnly) document.querySelector(".pickers").replaceChildren(pickers());
  const filter = document.getElementById("filter");
  if (filter.value !== state.q) filter.value = state.q;
  if (focused) document.querySelector(focused)?.focus({ preventScroll: true });
}

addEventListener("keydown", event => {
  if (event.target.closest?.("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); document.getElementById("filter").focus(); }
  if (event.key === "l") update({ y: state.y === "log" ? "lin" : "log" });
  if (event.key === "d") nextTheme();
});

build();
render(false);
