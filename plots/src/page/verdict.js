"use strict";
// Verdicts in words. Guards that none is made here: better, worse and "cannot be told" are what
// `swapscale compare` found, and points of too few trials have no verdict at all.

/** How many times `base` the `track` of a set is at so many threads; null where one of them is not there. */
function ratioOf(set, track, base, threads, metric = "x") {
  const all = (set.set || set).tracks, place = t => all.indexOf(t);
  const point = t => t.g.find(g => g.n === threads), [from, to] = [point(base), point(track)];
  const figure = g => (metric === "x" ? g?.x : g?.off?.total);
  if (!figure(from) || !figure(to) || figure(from)[0] <= 0) return null;
  for (const [b, n, of, rows] of set.pairs) {
    const turned = b === place(track) && n === place(base);
    const row = of === metric && (turned || (b === place(base) && n === place(track))) && rows.find(r => r[0] === threads);
    if (row) return judged(row, turned);
  }
  const hit = [from.hit || 0, to.hit || 0];
  return { ratio: figure(to)[0] / figure(from)[0], n: [from.k, to.k], hit, few: true, stands: true, verdict: 0 };
}

/** A row of `compare`, also with its sides exchanged. */
function judged([, ratio, lo, hi, verdict, n, hit, stands], turned) {
  const known = { ratio, lo, hi, verdict, n, hit, few: false, stands: stands === 1 };
  return turned ? { ...known, ratio: 1 / ratio, lo: 1 / hi, hi: 1 / lo, verdict: -verdict, n: [n[1], n[0]], hit: [hit[1], hit[0]] } : known;
}

/** Everything that a claim rests on, in brackets. */
function evidence(r) {
  const n = r.n[0] === r.n[1] && r.few ? counted(r.n[0], "trial") : `n = ${r.n[0]} + ${r.n[1]}`;
  const hit = r.hit[0] + r.hit[1] ? `${r.hit[0]} + ${r.hit[1]} trials hit from outside` : null;
  return [r.few ? null : `95 % interval ${short(r.lo)} to ${short(r.hi)}`, r.few ? `${n}: no verdict` : n, hit,
    r.stands ? null : "does not stand without the hit trials"].filter(Boolean).join("; ");
}

/** `verb`: what a track does in these times another, as "does". */
function clause(name, base, r, verb, than = "") {
  const told = r.few || r.verdict !== 0;
  return told ? `${name} ${verb} ${short(r.ratio)} times ${than}${base} (${evidence(r)})`
    : `${name} cannot be told from ${base} (ratio ${short(r.ratio)}; ${evidence(r)})`;
}

/** The most threads that both have, or the number that was picked. */
function sharedThreads(a, b) {
  const both = a.g.map(g => g.n).filter(n => b.g.some(g => g.n === n));
  return state.t !== "max" && both.includes(+state.t) ? +state.t : Math.max(...both);
}

/** The schemes of a set that have a base, oldest first: of releases if there are any. */
function compared(set) {
  const all = set.tracks.map(track => ({ track, base: baseOf(set, track) }))
    .filter(({ base, track }) => base && track.g.some(g => base.g.some(b => b.n === g.n)));
  const released = all.filter(({ track }) => isReleased(nameOf(track)));
  return (released.length ? released : all).sort((a, b) => trackOf(a.track).rank - trackOf(b.track).rank);
}

/** How the schemes of a set stand to their bases, in one sentence; null where none can be compared. */
function answer(set, metric, verb, than) {
  const pairs = compared(set).map(({ track, base }) => ({ track, base, threads: sharedThreads(track, base) }));
  const most = Math.max(...pairs.map(p => p.threads));
  const clauses = pairs.filter(p => p.threads === most).map(({ track, base }) => {
    const r = ratioOf(set, track, base, most, metric);
    return r && clause(nameOf(track), nameOf(base), r, verb, than);
  }).filter(Boolean);
  return clauses.length ? { threads: most, words: clauses.join("; ") + "." } : null;
}

/** Each question with its answer: `{about, words}`. */
function answers(sets) {
  const list = sets.slice(0, 4).map(set => {
    const got = answer(set, "x", set.predicted ? "is predicted to do" : "does");
    return got && { about: `Throughput of ${set.short}, ${counted(got.threads, "thread")}:`, words: got.words };
  });
  return [...list, swapoffAnswer(), raceAnswer()].filter(Boolean);
}

/** What swapoff costs, and how much of it is the barrier. */
function swapoffAnswer() {
  const sets = DATA.sets.filter(s => s.tracks.some(t => t.g.some(g => g.off)));
  const set = unique(sets.map(s => s.workload)).flatMap(setsOf).find(s => sets.includes(s));
  const got = set && answer(set, "off", set.predicted ? "is predicted to take" : "takes", "the time of ");
  if (!got) return null;
  const off = set.tracks.map(t => [t, t.g.find(g => g.n === got.threads)?.off]).filter(([, o]) => o && o.total[0] > 0);
  const share = off.map(([t, o]) => [t, o.steps.find(([name]) => name === "barrier")?.[1][0] / o.total[0]]).filter(([, v]) => v > 0);
  const least = share.reduce((best, s) => (!best || trackOf(s[0]).rank > trackOf(best[0]).rank ? s : best), null);
  return { about: `Time of one swapoff: ${shortOf(set).replace(/^swapoff, /, "")}, ${counted(got.threads, "thread")}:`,
    words: got.words + (least ? ` The barrier is ${rare(least[1])} of it under ${nameOf(least[0])}.` : "") };
}

/** Whether swapoff needs the barrier: what the checker finds without it. */
function raceAnswer() {
  const found = DATA.races.filter(r => r.title.startsWith("no-barrier")), race = found.find(r => r.counterpart) || found[0];
  return race && { about: "Does swapoff need the barrier?", words: `Yes. Without it ${race.about.replace(/\.$/, "")}.`, race: DATA.races.indexOf(race) };
}
