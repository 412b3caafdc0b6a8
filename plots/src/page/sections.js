"use strict";
// A section for each question. Guards that a section without data is one line, and says why.

const QUANTILES = [0.5, 0.9, 0.99, 0.999, 0.9999];
/** Points of a histogram's curve to each nine. */
const STEPS = 8;
/** Nine digits tell six nines apart. */
const quantile = step => Math.round((1 - 10 ** (-step / STEPS)) * 1e9) / 1e9;

const yKind = values => {
  if (state.y !== "auto") return state.y;
  const [lo, hi] = extent(values);
  return lo > 0 && hi / lo > 8 ? "log" : "lin";
};
const xAxis = () => ({ kind: state.x === "log" ? "log2" : "lin", name: "threads", link: "threads" });
/** A fourth number says that the ends are a range of too few trials for an interval. */
const ends = (v, format) => `${format(v[0])}  (${v[3] ? "range" : "95 %"}: ${format(v[1])} to ${format(v[2])})`;
const spread = (v, format) => `${format(v[0])}  (trials: ${format(v[1])} to ${format(v[2])})`;
const trials = g => `n = ${counted(g.k, "trial")}` + (g.hit ? `, ${g.hit} hit from outside` : "");

/** What a series is called and looks like, and what it is held against. */
function seriesOf(set, track) {
  const base = baseOf(set, track);
  return { name: nameOf(track), key: nameOf(track), look: lookOf(track), base: base && nameOf(base) };
}

/** Curves against threads of one field of the points. */
function curves(set, field, format, words) {
  return set.tracks.map(track => ({
    ...seriesOf(set, track), hollow: set.predicted,
    points: track.g.map(g => [g, field(g)]).filter(([, v]) => v).map(([g, v]) => ({
      x: g.n, y: v[0], lo: v[1], hi: v[2],
      tip: `${words(v, format)}, ${trials(g)}`,
    })),
  })).filter(c => c.points.length);
}

function againstThreads(set, title, name, format, field, words, extra = {}) {
  const list = curves(set, field, format, words);
  if (!list.length) return absent(title, `${set.short}: ${extra.needs || "not in this run"}`);
  const kind = extra.kind || yKind(list.flatMap(c => c.points.flatMap(p => [p.lo, p.y, p.hi])));
  return lineChart({ title, sub: set.short, source: set.source, x: xAxis(), y: { kind, name, format }, curves: list, guides: extra.guides });
}

function overview(sets) {
  return [el("div", { class: "verdicts" }, sets.map(set => el("div", { class: "verdict" }, el("h3", {}, set.conditions),
    set.words.length ? el("ul", {}, set.words.map(words => el("li", {}, words))) : el("p", { class: "muted" }, "One number of threads: nothing to say of scaling."),
    set.refused ? el("p", { class: "muted" }, `Left out: ${counted(set.refused, "cell")}; their workers overlapped for less than 95 % of the time.`) : null)))];
}

/** What the throughput of a set shows first, in a title's words. */
function finding(set) {
  const at = compared(set).map(({ track, base }) => ({ track, base, r: ratioOf(set, track, base, sharedThreads(track, base)), n: sharedThreads(track, base) })).filter(x => x.r);
  const told = at.filter(x => x.r.few || (x.r.verdict !== 0 && x.r.stands));
  if (!told.length) return at.length ? `Throughput: none can be told from the one before at ${counted(at[0].n, "thread")}` : "Throughput";
  const { track, base, r, n } = told.reduce((far, x) => (Math.abs(Math.log(x.r.ratio)) > Math.abs(Math.log(far.r.ratio)) ? x : far));
  return `Throughput: ${nameOf(track)} ${set.predicted ? "is predicted to do" : "does"} ${short(r.ratio)} times ${nameOf(base)} at ${counted(n, "thread")}`;
}

const NEEDS_ONE = "needs trials at one thread";

function scaling(sets) {
  const throughput = set => againstThreads(set, finding(set), "operations per second", si, g => g.x, ends);
  return [grid(sets.map(throughput), true), grid(sets.flatMap(speedups))];
}

/** Speedup and efficiency. The ideal line is no higher than the points need. */
function speedups(set) {
  const speed = curves(set, g => g.s, short, ends).flatMap(c => c.points);
  if (unique(speed.map(p => p.x)).length < 2) return [absent("Speedup", `${set.short}: ${NEEDS_ONE} and at more`)];
  const most = Math.max(1, ...speed.map(p => p.x)), top = Math.min(most, 1.6 * Math.max(1, ...speed.map(p => p.hi)));
  const steps = Array.from({ length: 41 }, (_, i) => top ** (i / 40));
  return [
    againstThreads(set, "Speedup over one thread", "times the median at 1 thread", v => short(v) + "×", g => g.s, ends,
      { guides: [{ name: "ideal", points: steps.map(v => [v, v]) }] }),
    againstThreads(set, "Scaling efficiency", "speedup / threads", v => percent(+v.toPrecision(3)),
      g => g.s && g.s.map((v, i) => (i < 3 ? v / g.n : v)), ends, { guides: [{ name: "", points: [[1, 1], [most, 1]] }] }),
  ];
}

function law(sets) {
  return sets.map(set => {
    const fitted = set.tracks.filter(t => t.usl);
    if (!fitted.length) return absent("Fit", `${set.short}: three parameters need four thread counts`);
    const fits = fitted.filter(track => track.usl.fits).map(track => ({ ...seriesOf(set, track), dash: "", marks: false,
      points: track.usl.curve.map(([n, x, lo, hi]) => ({ x: n, y: x, lo, hi,
        tip: `fit ${ends([x, lo, hi], si)}` })) }));
    const measured = curves({ ...set, tracks: fitted.filter(t => t.usl.fits) }, g => g.x, si, ends).map(c => ({ ...c, stroke: false }));
    const list = fits.concat(measured);
    const band = fitted.some(t => t.usl.sigma95) ? " with its 95 % band" : "";
    const rejected = fitted.filter(t => !t.usl.fits).map(nameOf);
    const chart = !fits.length ? absent("Universal Scalability Law", `${set.short}: it fits none of ${rejected.join(", ")}`)
      : lineChart({ title: `Universal Scalability Law: fits ${fits.map(c => c.name).join(", ")}`, sub: `${set.short}; lines: fit${band}; marks: medians${rejected.length ? `; does not fit, not drawn: ${rejected.join(", ")}` : ""}`,
      source: set.source, x: xAxis(), y: { kind: yKind(list.flatMap(c => c.points.map(p => p.y))), name: "operations per second", format: si }, curves: list });
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
  return scroller("table", el("table", {}, el("thead", {}, el("tr", {}, head.map(h => el("th", { scope: "col" }, h)))),
    el("tbody", {}, rows.map(row => el("tr", {}, row.map((v, i) => el("td", { class: i ? "number" : null }, v)))))));
}

function percentiles(set, field, name, extra = {}) {
  return set.tracks.map(track => {
    const g = pointOf(track), list = g && g[field][state.kind];
    return { ...seriesOf(set, track), name: nameOf(track) + name, hollow: extra.hollow ?? set.predicted, dash: extra.dash,
      points: (list || []).map((v, i) => v && { x: QUANTILES[i], y: v[0], lo: v[1], hi: v[2],
        tip: `${percent(QUANTILES[i])}: ${spread(v, time)}, ${trials(g)}` }).filter(Boolean) };
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
  const list = found.map(track => ({ ...seriesOf(set, track), marks: false,
    points: track.hdr[state.kind].curve.map((ns, i) => [quantile(i), ns]).filter(([, ns]) => ns > 0).map(([q, ns]) => ({ x: q, y: ns,
      tip: `${percent(q)}: ${time(ns)}, all trials in one histogram` })) }));
  const timed = found.filter(t => t.hdr[state.kind].heat), range = timed.flatMap(t => [t.hdr[state.kind].heat.lo, t.hdr[state.kind].heat.hi]);
  const maps = timed.map(track => heatMap({
    title: `${state.kind} over time: ${nameOf(track)}`, sub: `${set.short}; first trial; stronger: more operations`,
    source: set.source, look: lookOf(track), heat: track.hdr[state.kind].heat, range }));
  return [lineChart({ title: `Distribution of ${state.kind} at ${threadsText(set)}`, sub: `${set.short}; all trials merged`, source: set.source,
    x, y, curves: list }), ...maps];
}

function contention(sets) {
  return grid(sets.map(set => {
    const title = `Waiting by lock site at ${threadsText(set)}`;
    const blocks = blocksOf(set, (track, g) => g.sites.filter(s => s[2] !== null).map(([lock, caller, wait, share, n, longest]) => {
      const often = share === null ? `contended ${counted(si(n), "time")}` : `${rare(share)} contended`;
      return { label: `${DATA.names[lock]}  ${DATA.names[caller]}`, parts: [[wait, colour(lookOf(track))]],
        note: n ? `${time(wait)}, ${often}, max ${time(longest)}` : "never contended" };
    }), true);
    return blocks.length ? barChart({ title, sub: `${set.short}; time per operation, over all trials`, source: set.source, blocks })
      : absent(title, `${set.short}: ${set.nosites || "no lock site was recorded"}`);
  }), true);
}

/** Counters below this per operation are words: beside the others their bars would be the noise of a few events. */
const RARE = 1e-4;

function counters(sets) {
  return grid(sets.map(set => {
    const title = `Counters per operation at ${threadsText(set)}`;
    const points = set.tracks.map(t => [t, pointOf(t)]).filter(([, g]) => g);
    const most = name => Math.max(0, ...points.map(([, g]) => (Array.isArray(g.ctr[name]) ? g.ctr[name][2] : 0)));
    const counts = name => points.some(([, g]) => !Array.isArray(g.ctr[name])) || most(name) > 0;
    const all = unique(points.flatMap(([, g]) => Object.keys(g.ctr))), names = all.filter(counts), zero = all.filter(n => !counts(n));
    if (!all.length) return absent(title, `${set.short}: no counter was recorded`);
    const blocks = together(names.map(name => counterBlock(name, points, most(name))));
    const sub = `${set.short}; each against its largest; black: range of the trials${zero.length ? `; never counted an event: ${zero.join(", ")}` : ""}`;
    return blocks.length ? barChart({ title, sub, source: set.source, blocks }) : absent(title, `${set.short}: no counter counted an event`);
  }), true);
}

/** Counters of which there is nothing but one reason are one block. */
function together(blocks) {
  const silent = blocks.filter(b => b.rows.length === 1 && b.rows[0].words !== undefined), reasons = unique(silent.map(b => b.rows[0].words));
  const named = reason => silent.filter(b => b.rows[0].words === reason).map(b => b.name).join(", ");
  const one = silent.length ? [{ name: "Not counted", rows: reasons.map(words => ({ label: "", words: `${named(words)}: ${words}` })) }] : [];
  return [...blocks.filter(b => !silent.includes(b)), ...one];
}

function counterBlock(name, points, most) {
  const rows = points.map(([track, g]) => {
    const v = g.ctr[name], label = nameOf(track);
    if (!Array.isArray(v)) return { label, words: v === undefined ? "not asked for" : DATA.reasons[v] };
    const note = `${small(v[0])} (${small(v[1])} to ${small(v[2])})`;
    if (most < RARE) return { label, words: v[2] > 0 ? `rare: ${note}` : "none" };
    return { label, parts: [[v[0] / most, colour(lookOf(track))]], lo: v[1] / most, hi: v[2] / most, note, tip: trials(g) };
  });
  const reasons = unique(rows.map(r => r.words));
  return { name, rows: reasons.length === 1 && reasons[0] !== undefined ? [{ label: "all variants", words: reasons[0] }] : rows };
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
    if (!names.length) return hottest && absent(title, `${set.short}: ${set.predicted ? "kept at the most threads alone" : "this machine cannot tell which lines moved"}`);
    const shade = name => partColour(names.indexOf(name));
    const blocks = blocksOf(set, (track, g) => rowsOf(g).map(([label, moved, wait]) => ({
      label: DATA.names[label], parts: moved.map(([d, n]) => [n, shade(d)]),
      note: `${short(moved.reduce((sum, [, n]) => sum + n, 0))} transfers, wait ${time(wait)}` })).concat(
      hottest && g.lines.hottest.length ? [{ label: "hottest lines", words: g.lines.hottest.map(([n, x]) => `${DATA.names[n]} ${short(x)}`).join(", ") }] : []));
    return barChart({ title, sub: `${set.short}; per operation`, source: set.source, blocks, legend: names.map(n => [DATA.names[n], shade(n)]) });
  }), true);
  return [by("field", "fields", true), by("lock caller", "callers", false)];
}

function swapoff(sets) {
  return [grid(sets.map(swapoffSteps), true), grid(swapoffBySize())];
}

/** A dot for each scheme in a row for each step, the whole swapoff last. */
function swapoffSteps(set) {
  const there = set.tracks.map(t => [t, pointOf(t)]).filter(([, g]) => g && g.off);
  const title = `swapoff by step at ${threadsText(set)}`;
  if (!there.length) return absent(title, `${set.short}: no swapoff was recorded`);
  const stepOf = (off, name) => off.steps.find(([n]) => n === name)?.[1];
  const names = set.steps.filter(name => there.some(([, g]) => stepOf(g.off, name)?.[2] > 0)), never = set.steps.filter(n => !names.includes(n));
  const dot = (track, g, v, words) => ({ ...seriesOf(set, track), y: v[0], lo: v[1], hi: v[2], hollow: set.predicted, tip: `${words(v, time)}\n${trials(g)}` });
  const row = name => ({ label: name, dots: there.filter(([, g]) => stepOf(g.off, name)).map(([t, g]) => dot(t, g, stepOf(g.off, name), spread)) });
  const total = { label: "whole swapoff", dots: there.filter(([, g]) => g.off.total).map(([t, g]) => dot(t, g, g.off.total, ends)) };
  const [track, g] = there.reduce((a, b) => (trackOf(b[0]).rank > trackOf(a[0]).rank && trackOf(b[0]).rank % 2 === 0 ? b : a));
  const share = name => (stepOf(g.off, name) && g.off.total ? stepOf(g.off, name)[0] / g.off.total[0] : 0);
  const longest = names.reduce((a, b) => (share(b) > share(a) ? b : a), names[0]);
  const barrier = share("barrier") > 0 ? `, the barrier ${rare(share("barrier"))}` : "";
  return dotPlot({ title: `${title}: ${longest} is ${rare(share(longest))} of it${barrier} (${nameOf(track)})`, source: set.source, format: time, name: "time",
    sub: `${set.short}; ${unique(there.map(([, p]) => p.off.clusters)).join(", ")} clusters; bars: the trials of a step, 95 % interval or range of the whole${never.length ? `; no time in ${never.join(", ")}` : ""}`,
    rows: [...names.map(row), total] });
}

/** Over the sizes of the device, all other conditions being the same. */
function swapoffBySize() {
  const groups = new Map(), workloads = pickedWorkloads(), machines = unique(workloads.flatMap(setsOf).map(s => s.machine));
  for (const set of DATA.sets.filter(s => workloads.includes(s.workload) && machines.includes(s.machine))) {
    const { size, ...rest } = set.params, key = JSON.stringify([set.machine, set.workload, rest, set.runs]);
    for (const track of set.tracks.filter(t => picked(nameOf(t)))) {
      const g = pointOf(track);
      if (!g || !g.off || !g.off.clusters) continue;
      const group = groups.get(key) || groups.set(key, { sets: [], tracks: [], curves: new Map() }).get(key);
      group.sets.push(set);
      group.tracks.push(track);
      const curve = group.curves.get(nameOf(track)) || group.curves.set(nameOf(track), { ...seriesOf(set, track), hollow: set.predicted, points: [] }).get(nameOf(track));
      const [y, lo, hi] = g.off.total;
      curve.points.push({ x: g.off.clusters, y, lo, hi, tip: `${ends(g.off.total, time)}, ${trials(g)}` });
    }
  }
  return [...groups.values()].map(group => {
    const list = [...group.curves.values()].map(c => ({ ...c, points: c.points.sort((a, b) => a.x - b.x) })).filter(c => unique(c.points.map(p => p.x)).length > 1);
    const [set] = group.sets;
    return list.length ? lineChart({ title: `swapoff against device size at ${threadsText(group)}`, sub: `${set.workload}, ${set.origin} ${set.machine}`, source: sourceOf(group.sets),
      x: { kind: "log2", name: "clusters of the device", link: "clusters" }, y: { kind: "log", name: "time", format: time }, curves: list }) : null;
  });
}

function fairness(sets) {
  return sets.map(set => {
    const many = { ...set, tracks: set.tracks.map(t => ({ ...t, g: t.g.filter(g => g.n > 1) })).filter(t => t.g.length) };
    if (!many.tracks.length) return [absent("Fairness", `${set.short}: needs more than one thread`)];
    return grid([jain(many), shares(many)]);
  });
}

/** Jain's index against threads; at one number of threads it is a line of words. */
function jain(set) {
  const most = unique(set.tracks.flatMap(t => t.g.map(g => g.n)));
  if (most.length > 1) return againstThreads(set, "Jain's index", "1 is fair", short, g => g.j, spread, { kind: "near" });
  const said = set.tracks.map(t => [t, t.g[0].j]).filter(([, j]) => j).map(([t, j]) => `${nameOf(t)} ${short(j[0])}`);
  return absent(`Jain's index at ${counted(most[0], "thread")}`, `${set.short}: ${said.join(", ")} (1 is fair; one number of threads is no curve)`);
}

/** Fewer threads than this have no curve of shares. */
const FEW_THREADS = 4;

function shares(set) {
  const title = `Share of each thread at ${threadsText(set)}`;
  const there = set.tracks.map(t => [t, pointOf(t)]).filter(([, g]) => g && g.share?.length);
  if (there.length && there.every(([, g]) => g.n < FEW_THREADS)) {
    const said = there.map(([t, g]) => `${nameOf(t)} ${g.share.map(short).join(" and ")}`);
    return absent(title, `${set.short}: ${said.join(", ")} times the fair share (first trial)`);
  }
  const list = there.map(([track, g]) => {
    const { share } = g;
    return { ...seriesOf(set, track), base: null, dash: "", marks: share.length < 24, points: share.map((y, i) => ({
      x: (i + 0.5) / share.length, y, tip: `${short(y)} of the fair share` })) };
  });
  return list.length ? lineChart({ title, sub: `${set.short}; threads by rank, first trial`, source: set.source,
    guides: [{ name: "", points: [[0, 1], [1, 1]] }], x: { kind: "lin", name: "threads, least served first", format: percent },
    y: { kind: "near", name: "of the fair share", format: short }, curves: list }) : null;
}

function series(sets) {
  const charts = sets.flatMap(set => {
    const names = unique(set.tracks.flatMap(t => t.series.map(s => JSON.stringify([s.name, s.unit]))));
    return names.map(key => {
      const [name, unit] = JSON.parse(key);
      const list = set.tracks.map(t => [t, t.series.find(s => s.name === name && s.unit === unit)]).filter(([, s]) => s && s.points.length > 1)
        .map(([t, s]) => ({ ...seriesOf(set, t), base: null,
          points: s.points.map(([x, y]) => ({ x, y, tip: `${short(x)} s: ${si(y)} ${unit}` })) }));
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
    const of = predicted => here.filter(s => s.predicted === predicted), several = unique(here.map(s => s.machine)).length > 2;
    const told = predicted => of(predicted).map(s => s.short).join(" and ");
    const named = (c, set) => c.name + (several ? ` · ${set.machine}` : set.predicted ? ", model" : "");
    const list = here.flatMap(set => curves(set, g => g.x, si, ends).map(c => ({ ...c, name: named(c, set), base: null, dash: set.predicted ? "5 5" : "" })));
    return lineChart({ title: "Predicted and measured throughput",
      sub: `solid: ${told(false)}; dashed: ${told(true)}`, source: sourceOf(here),
      x: xAxis(), y: { kind: yKind(list.flatMap(c => c.points.map(p => p.y))), name: "operations per second", format: si }, curves: list });
  });
  return charts.some(Boolean) ? grid(charts)
    : [absent("Prediction against measurement", "needs a measured and a predicted run of one workload, both picked")];
}

/** Charts that come as pictures, of the sets that are picked, under a heading for each kind. */
function pictures(sets) {
  const { kept, left_out: left } = DATA.pictures, here = sets.map(s => DATA.sets.indexOf(s.set));
  const shown = kept.filter(p => p.sets.some(i => here.includes(i))).slice(0, 2 * MOST_SETS);
  const heading = { ablation: "What each step is worth", front: "Releases against each other", hold: "Hold times", load: "Under load",
    preempted: "Lock holders that are preempted", "swapoff-barrier": "The barrier of swapoff", "swapoff-slots": "swapoff by slots" };
  return [
    shown.length ? unique(shown.map(p => p.chart)).map(chart => [el("h3", {}, heading[chart] || chart), grid(shown.filter(p => p.chart === chart).map(picture), true)])
      : absent("More charts", "none of what is picked"),
    left.length ? el("p", { class: "muted" }, `For its size this page leaves out: ${unique(left).join(", ")}. They are beside it as files.`) : null,
  ];
}

function environment() {
  return DATA.runs.map(run => el("details", DATA.runs.length < 3 ? { open: "" } : {},
    el("summary", {}, `${run.id}, ${run.origin} ${run.machine}`),
    el("table", { class: "environment" }, el("tbody", {}, run.rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "wide" }, value)))))));
}

/** Charts side by side; what is absent is said below them. */
function grid(charts, wide = false) {
  const all = charts.flat(Infinity).filter(Boolean), missing = all.filter(c => c.className === "absent");
  return [el("div", { class: wide ? "charts wide" : "charts" }, all.filter(c => !missing.includes(c))), missing];
}

/** Every section: what it is called in the address, its heading, and what draws it. One more is one line more. */
const SECTIONS = [
  ["scaling", "Throughput and scaling", scaling], ["overview", "Peaks and gains", overview], ["usl", "Scalability law", law],
  ["latency", "Latency", latency], ["contention", "Lock contention", contention], ["counters", "Counters", counters],
  ["transfers", "Line transfers", transfers], ["swapoff", "swapoff", swapoff], ["fairness", "Fairness", fairness],
  ["series", "Over time", series], ["predicted", "Predicted and measured", predicted], ["pictures", "More charts", pictures], ["races", "Races", races],
  ["environment", "Environment", environment], ["raw", "Raw cells", () => table()],
];

