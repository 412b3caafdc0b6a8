"use strict";
// Races as lifelines that a reader steps through. Guards that a race reads as one timeline: a line a
// step, a bar while a lock is held, and the cells of memory as they are after the step that is marked.

const LOCKS = ["--p5", "--p3", "--p0", "--p4", "--p1", "--p2"];
const isLock = access => ["lock", "wait", "trylock fails", "unlock"].includes(access.op);

/** Locks in the order in which they appear, so that each has one colour. */
const locksOf = timeline => unique(timeline.rows.flatMap(r => r.accesses.filter(isLock).map(a => a.cell).concat(r.held)));

const stepsOf = race => Math.max(...sidesOf(race).map(side => side.timeline.rows.length));

/** The race, and beside it the same acts where nothing breaks. */
function sidesOf(race) {
  const broken = { name: race.counterpart ? "Without the barrier" : "", timeline: race.timeline };
  return race.counterpart ? [broken, { name: "With the barrier", timeline: race.counterpart }] : [broken];
}

/** The sections of a lane whose lock is drawn being taken, and its waits: `{lock, from, to, depth, waits}` by row. */
function bars(timeline, lane) {
  const own = timeline.rows.map((row, n) => ({ row, n })).filter(({ row }) => row.lane === lane), found = [], open = new Map();
  own.forEach(({ row, n }, i) => {
    for (const [lock, bar] of [...open]) if (!row.held.includes(lock)) { found.push(bar); open.delete(lock); }
    for (const lock of row.held.filter(lock => open.has(lock) || row.accesses.some(a => a.op === "lock" && a.cell === lock))) {
      const bar = open.get(lock) || open.set(lock, { lock, from: n, to: n, depth: open.size }).get(lock);
      bar.to = n;
      if (row.accesses.some(a => a.op === "unlock" && a.cell === lock)) { found.push(bar); open.delete(lock); }
    }
    const wait = row.accesses.find(a => a.op === "wait");
    if (wait) found.push({ lock: wait.cell, from: n, to: own[i + 1]?.n ?? timeline.rows.length - 1, depth: open.size, waits: true });
  });
  // What is still held at the end is held to the end.
  open.forEach(bar => found.push({ ...bar, to: timeline.rows.length - 1 }));
  return found;
}

/** Columns of the picture: two CPUs have their words outside, so that the window fits between them. */
function lanesOf(timeline) {
  const [left, right] = [{ words: 2, life: 3, side: "left" }, { words: 6, life: 5, side: "right" }];
  if (timeline.lanes.length === 2) return { columns: "auto minmax(0, 1fr) var(--lane) var(--gap) var(--lane) minmax(0, 1fr)", lanes: [left, right], window: "3 / 6" };
  const lanes = timeline.lanes.map((_, i) => ({ life: 2 + 2 * i, words: 3 + 2 * i, side: "right" }));
  return { columns: `auto repeat(${lanes.length}, var(--lane) minmax(0, 1fr))`, lanes, window: `2 / ${2 + 2 * lanes.length}` };
}

/** A race drawn up to step `at`; later steps are faint. */
function lifelines({ name, timeline }, at) {
  const { columns, lanes, window } = lanesOf(timeline), locks = locksOf(timeline), last = timeline.rows.length + 1;
  const shade = lock => `var(${LOCKS[locks.indexOf(lock) % LOCKS.length]})`;
  const put = (node, row, column) => { node.style.gridRow = row; node.style.gridColumn = column; return node; };
  const box = el("div", { class: "lifelines" });
  box.style.gridTemplateColumns = columns;
  const inside = timeline.window;
  if (inside) box.append(put(el("div", { class: "window" }, lanes.length === 2 ? el("span", {}, "the window") : null), `${inside[0] + 1} / ${inside[1] + 2}`, window));
  timeline.lanes.forEach((lane, i) => {
    box.append(put(el("b", { class: lanes[i].side }, `CPU ${lane.cpu}: ${lane.role}`), 1, lanes[i].words));
    box.append(put(el("div", { class: "life" }), `2 / ${last + 1}`, lanes[i].life));
    for (const bar of bars(timeline, i)) {
      const node = put(el("div", { class: bar.waits ? "bar waits" : "bar", title: `${bar.lock} ${bar.waits ? "waited for" : "held"}` }), `${bar.from + 2} / ${bar.to + 3}`, lanes[i].life);
      node.style.setProperty("--lock", shade(bar.lock));
      node.style.setProperty("--depth", bar.depth * (lanes[i].side === "left" ? 1 : -1));
      box.append(node);
    }
  });
  timeline.rows.forEach((row, n) => {
    const lane = lanes[row.lane], lock = row.accesses.find(isLock), note = row.accesses.some(a => a.op === "note");
    const marked = inside && (n + 1 === inside[0] || n + 1 === inside[1]);
    const when = n + 1 === at ? " now" : n + 1 > at ? " later" : "";
    box.append(put(el("span", { class: "nth" + when }, String(n + 1)), n + 2, 1));
    if (!lock && !note) box.append(put(el("span", { class: (marked ? "dot marked" : "dot") + when }), n + 2, lane.life));
    const words = put(el("div", { class: `act ${lane.side}${marked ? " marked" : ""}${note ? " note" : ""}${when}` },
      row.function && row.function !== before(timeline, n) ? el("i", {}, `${row.function}()`) : null, el("span", {}, row.text.replace(/^\* /, ""))), n + 2, lane.words);
    if (lock) words.style.setProperty("--lock", shade(lock.cell));
    words.classList.toggle("locks", Boolean(lock));
    box.append(words);
  });
  return el("div", { class: "side" }, name ? el("h4", {}, name) : null, box,
    timeline.remark ? el("p", { class: "muted" }, timeline.remark) : null,
    el("p", { class: timeline.violation.includes(" holds: ") ? "holds" : "broken" }, timeline.violation));
}

/** The function that the row's CPU was in at its line before. */
function before(timeline, n) {
  for (let i = n - 1; i >= 0; i--) if (timeline.rows[i].lane === timeline.rows[n].lane) return timeline.rows[i].function;
  return "";
}

/** The cells after so many steps: each row has what it changed. */
function stateAfter(timeline, at) {
  return Object.assign({}, timeline.initial, ...timeline.rows.slice(0, at).map(row => row.state));
}

/** The cells of memory after the step: swap_map, inuse_pages, flags and whatever else is drawn. */
function memory(sides, at) {
  const cells = unique(sides.flatMap(s => Object.keys(stateAfter(s.timeline, Infinity))));
  const line = ({ name, timeline }) => {
    const now = stateAfter(timeline, at), then = stateAfter(timeline, at - 1);
    return el("tr", {}, el("th", { scope: "row" }, name || "memory"),
      cells.map(cell => el("td", { class: at > 0 && now[cell] !== then[cell] ? "changed" : null }, now[cell] ?? "?")));
  };
  return el("table", { class: "memory" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, at ? `after step ${at}` : "before step 1"),
    cells.map(cell => el("th", { scope: "col" }, cell)))), el("tbody", {}, sides.map(line)));
}

/** What the marked step says, for those who hear the page. */
function spoken(sides, at) {
  return sides.map(({ name, timeline }) => {
    const row = timeline.rows[at - 1];
    return row ? `${name ? name + ", " : ""}step ${at}, CPU ${timeline.lanes[row.lane].cpu}: ${row.text}.` : "";
  }).join(" ");
}

/** A race with its buttons; arrow keys do the same. */
function stepper(race) {
  const sides = sidesOf(race), last = stepsOf(race), at = state.step < 0 ? last : Math.min(state.step, last);
  const to = step => update({ step: Math.max(0, Math.min(last, step)) });
  const button = (name, label, step, off) => el("button", { "aria-label": label, "data-pick": `step:${label}`, "aria-disabled": off ? "true" : null, onclick: () => to(step) }, name);
  const box = el("div", { class: "stepper", tabindex: 0, role: "group", "data-pick": "stepper", "aria-label": `${race.title}, ${counted(last, "step")}. Arrow keys step through it.` },
    el("div", { class: "tools" }, button("|◀", "first step", 1, at <= 1), button("◀", "step back", at - 1, at < 1), button("▶", "step on", at + 1, at >= last),
      button("▶|", "last step", last, at >= last), el("span", { id: "step" }, `step ${at} of ${last}`)),
    el("p", { class: "hidden", role: "status" }, spoken(sides, at)),
    scroller("memory", memory(sides, at)),
    el("div", { class: "sides" }, sides.map(side => lifelines(side, at))));
  box.addEventListener("keydown", event => {
    const step = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    to(step);
  });
  return box;
}

/** The race that is picked, and a list of all. */
function races() {
  const race = DATA.races[state.race];
  if (!race) return [absent("Races", "the checker's findings were not given to this page")];
  const list = DATA.races.length > 1 ? el("label", { class: "picker" }, el("span", {}, "race"),
    el("select", { id: "pick-race", onchange: event => update({ race: +event.target.value, step: -1 }) },
      DATA.races.map((r, i) => el("option", { value: i, selected: i === state.race ? "" : null }, r.title)))) : null;
  const text = el("details", race.timeline ? {} : { open: "" }, el("summary", {}, "as text, for a mail"), el("pre", { tabindex: 0 }, race.text));
  return [list, el("h3", {}, race.about ? race.about[0].toUpperCase() + race.about.slice(1) : race.title), el("p", { class: "muted" }, race.title), race.timeline ? stepper(race) : null, race.text ? text : null];
}
