"use strict";
// The page itself: head, first answers, facets, and the sections under them. Guards that a key or a
// click draws no more than depends on it, and that the keyboard stays where it was.

/** Facets that stand in the bar; the others are behind "more". */
const IN_BAR = 4;
/** A filter waits so long for the next letter, ms. */
const PAUSE = 120;

// ---- facets ----

/** Sizes and numbers by what they are, all else by name. */
function inOrder(a, b) {
  const size = v => parseFloat(v) * ({ K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }[/^[\d.]+([KMGT])iB$/.exec(v)?.[1]] ?? 1);
  return (Number.isNaN(size(a)) - Number.isNaN(size(b))) || size(a) - size(b) || (a < b ? -1 : a > b ? 1 : 0);
}

function select(name, key, value, options, change) {
  return el("label", { class: "picker" }, el("span", {}, name),
    el("select", { id: `pick-${key}`, onchange: event => change(event.target.value) },
      options.map(([v, text]) => el("option", { value: v, selected: String(value) === v ? "" : null }, text))));
}

const choose = (name, key, options) => (options.length < 2 ? null : select(name, key, state[key], options, value => update({ [key]: value, page: 0 })));

/** A parameter of the picked workloads: its most common value unless one is asked for. */
function facet(name, sets) {
  const all = DATA.sets.filter(s => pickedWorkloads().includes(s.workload)), values = unique(all.map(s => valueOf(s, name))).sort(inOrder);
  if (values.length < 2) return null;
  const now = unique(sets.map(s => valueOf(s, name))).sort(inOrder).join(", ");
  const change = value => {
    const { [name]: _, ...rest } = state.p;
    update({ p: value === "" ? rest : { ...rest, [name]: value }, page: 0 });
  };
  const usualText = name in state.p ? "usual" : now || "usual";
  return select(name, `p-${name}`, state.p[name] ?? "", [["", usualText], ...values.map(v => [v, v === now && !(name in state.p) ? `only ${v}` : v]), ["*", "all"]], change);
}

/** The run: one variant is one track, whatever run it comes from. */
function runFacet() {
  const sets = DATA.sets.filter(s => pickedWorkloads().includes(s.workload)), runs = unique(sets.map(s => s.runs[0]));
  const named = runs.map(i => [DATA.runs[i].id, `${DATA.runs[i].label} (${DATA.runs[i].day})`]);
  return runs.length < 2 ? null : choose("run", "run", [["", "newest"], ...named, ["*", "all"]]);
}

function schemes() {
  const there = VARIANTS.filter(name => pickedWorkloads().flatMap(setsOf).some(s => s.tracks.some(t => nameOf(t) === name)));
  const chip = name => el("button", { "aria-pressed": String(picked(name)), "data-pick": `v:${name}`, onclick: () => update({ v: toggled(name, there) }) },
    swatch(DATA.tracks.find(t => t.name === name).look), name);
  const all = state.v.length ? [el("button", { "data-pick": "v:all", onclick: () => update({ v: [] }) }, "all")] : [];
  return roving(el("div", { class: "picker chips", role: "toolbar", "aria-label": "schemes" }, el("span", {}, "schemes"), there.map(chip), all), "button");
}

/** The last one that is picked stays: nothing picked is not everything. */
function toggled(name, there) {
  const now = state.v.length ? state.v : there, next = now.includes(name) ? now.filter(n => n !== name) : [...now, name];
  if (!next.some(n => there.includes(n))) return state.v.length ? state.v : [name];
  return there.every(n => next.includes(n)) ? [] : VARIANTS.filter(n => next.includes(n));
}

let moreOpen = false;

function pickers(sets) {
  const facets = FACETS.map(name => facet(name, sets)).filter(Boolean);
  const machines = [["", "usual"], ...MACHINES.map(m => [m, m]), ["*", "all"]];
  const more = el("details", { class: "more", ontoggle: event => { moreOpen = event.target.open; } }, el("summary", { id: "more" }, "more"),
    facets.slice(IN_BAR),
    choose("operation", "kind", KINDS.map(k => [k, k])),
    choose("y", "y", [["auto", "auto"], ["log", "log"], ["lin", "linear"]]),
    choose("x", "x", [["log", "log"], ["lin", "linear"]]),
    el("button", { id: "theme", title: "key d", onclick: nextTheme }, `theme: ${state.theme}`));
  more.open = moreOpen;
  return el("div", {},
    choose("workload", "w", [...WORKLOADS.map(w => [w, w]), ...(WORKLOADS.length > 1 ? [["*", "all"]] : [])]),
    facets.slice(0, IN_BAR),
    MACHINES.length > 1 ? choose("machine", "m", machines) : null, runFacet(),
    choose("threads", "t", [["max", "most"], ...THREADS.map(n => [String(n), String(n)])]),
    more, schemes(),
    state.z ? el("button", { id: "unzoom", onclick: () => update({ z: "" }) }, `zoom ${state.z.replace("-", " to ")}: reset`) : null,
    state.i ? el("button", { id: "together", onclick: () => update({ i: "" }) }, `only ${state.i}: show all`) : null);
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
NARROW.addEventListener("change", () => { SIZE = sizeOf(); render(); });

// ---- the first screen ----

/** Date and hardware; what all runs have in common. */
function about() {
  const days = DATA.runs.map(r => r.day).sort(), [from, to] = [days[0], days[days.length - 1]];
  const date = from === to ? from : `${from} to ${to}`, machines = unique(DATA.runs.map(r => r.hardware));
  const constant = CONSTANT.map(([name, value]) => `${name} ${value}`);
  return [el("p", { class: "muted about" }, [date, ...machines.slice(0, 3), ...(machines.length > 3 ? [`and ${machines.length - 3} more`] : []),
    `${counted(DATA.runs.length, "run")}, ${counted(DATA.cells.at.length, "cell")}`, ...(constant.length ? [`all with ${constant.join(", ")}`] : [])].join(" · "))];
}

function first(sets) {
  const base = choose("base", "b", [["", "the scheme before it"], ...VARIANTS.map(v => [v, v])]);
  const told = answers(sets);
  return [
    el("ul", { class: "answers" }, told.map(({ about, words, race }) => el("li", {}, el("b", {}, about), " ", el("span", { class: "answer" }, inBrackets(words)),
      race === undefined ? null : [" ", el("a", { href: "#", tabindex: -1, onclick: event => { event.preventDefault(); toRace(race); } }, "Step through it.")]))),
    told.length ? null : absent("Answers", "no two schemes of these runs can be held against each other"),
    el("div", { class: "tools" }, base),
    heatMaps(),
  ];
}

/** What a claim rests on stands back: the brackets of a sentence. */
const inBrackets = words => words.split(/(\([^()]*\))/).map(part => (part.startsWith("(") ? el("span", { class: "evidence" }, part) : part));

function toRace(race) {
  update({ race, step: -1 });
  document.getElementById("races").scrollIntoView();
  document.querySelector("#races .stepper")?.focus({ preventScroll: true });
}

// ---- the page itself ----

function build() {
  const bar = el("div", { class: "pickers", role: "region", "aria-label": "facets" });
  document.body.append(
    el("a", { class: "skip", href: "#", onclick: event => { event.preventDefault(); const to = document.querySelector("#scaling svg") || document.getElementById("scaling"); to.focus(); } }, "Skip to the first chart"),
    el("header", {}, el("h1", {}, "Which swap allocator scales, and what does swapoff pay for it?"), about(),
      roving(el("nav", { "aria-label": "sections" }, SECTIONS.map(([id, name]) => el("a", { href: "#", "data-to": id,
        onclick: event => { event.preventDefault(); document.getElementById(id).scrollIntoView(); document.getElementById(id).focus({ preventScroll: true }); } }, name))), "a:not([hidden])")),
    el("main", {}, el("div", { id: "first" }), bar,
      SECTIONS.map(([id, name]) => el("section", { id, tabindex: -1, "aria-label": name },
        el("h2", {}, name),
        id === "raw" ? el("input", { id: "filter", type: "search", placeholder: "filter: words, e.g. percluster 64", size: 36, value: state.q,
          "aria-label": "filter cells", oninput: event => typed(event.target.value) }) : null,
        el("div", { class: "body" }))),
      el("p", { id: "missing", class: "muted" })),
    el("footer", {}, "Points are medians over trials; bands and bars are 95 % bootstrap intervals, or the range of fewer than 6 trials, unless a chart says otherwise. "
      + "Keys: / filter, l linear or log, d theme; in a chart arrows read its points, Enter shows one series alone, + and - zoom."),
    el("div", { id: "tip", role: "status", hidden: "" }));
  // A section that is gone to must not begin under the bar that stays on top.
  const covered = () => (getComputedStyle(bar).position === "sticky" ? bar.offsetHeight : 0);
  new ResizeObserver(() => document.body.style.setProperty("--covered", `${covered()}px`)).observe(bar);
}

let waiting = 0;

/** Letters that follow each other are one filter. */
function typed(value) {
  clearTimeout(waiting);
  waiting = setTimeout(() => update({ q: value, page: 0 }), PAUSE);
}

/** What finds an element again when it has been drawn anew, or null. */
function selector(element) {
  const by = name => element.hasAttribute(name) && `[${name}="${CSS.escape(element.getAttribute(name))}"]`;
  const section = element.closest("section, #first"), chart = section && element.matches("svg") && [...section.querySelectorAll("svg[tabindex]")].indexOf(element);
  if (element.id) return () => document.getElementById(element.id);
  if (chart !== null && chart >= 0 && chart !== false) return () => document.querySelectorAll(`#${section.id} svg[tabindex]`)[chart];
  const found = by("data-pick") || by("data-sort") || by("data-tile") || by("aria-label");
  return found ? () => document.querySelector(found) : null;
}

/** Draws everything, or one section alone. */
function render(part) {
  const focused = selector(document.activeElement);
  applyTheme();
  const sets = visible(), shown = sets.slice(0, MOST_SETS);
  if (!part) linked = [];
  for (const section of SECTIONS.filter(([id]) => !part || id === part)) draw(section, sets, shown);
  if (!part) {
    document.getElementById("first").replaceChildren(...nodes(first(shown)));
    document.querySelector(".pickers").replaceChildren(pickers(sets));
    const absentees = SECTIONS.filter(([id]) => document.getElementById(id).hidden)
      .map(([id, name]) => `${name} (${document.querySelector(`#${id} .absent`).textContent.replace(/\.$/, "")})`);
    document.getElementById("missing").textContent = absentees.length ? `Not in these runs: ${absentees.join("; ")}.` : "";
  }
  const filter = document.getElementById("filter");
  if (filter.value !== state.q && !waiting) filter.value = state.q;
  waiting = 0;
  if (focused) focused()?.focus({ preventScroll: true });
}

const nodes = parts => [parts].flat(Infinity).filter(Boolean);
/** Sections that do not depend on what is picked. */
const OF_ALL = ["races", "environment", "raw"];

/** One section; without anything but reasons why not it is a line at the end of the page. */
function draw([id, , make], sets, shown) {
  const section = document.getElementById(id), body = section.querySelector(".body");
  const nothing = !sets.length && !OF_ALL.includes(id);
  const parts = nothing ? [absent("Nothing", "no workload, machine and scheme picked together")] : make(shown);
  const more = id === "scaling" && sets.length > shown.length
    ? [el("p", { class: "muted" }, `The first ${MOST_SETS} of ${sets.length} are shown; pick fewer by the facets.`)] : [];
  body.replaceChildren(...nodes([parts, more]));
  const empty = body.querySelector(".absent") && !body.querySelector("figure, table, .verdict, .stepper, details, pre");
  section.hidden = Boolean(empty) && !(nothing && id === "scaling");
  document.querySelector(`nav [data-to="${id}"]`).hidden = section.hidden;
}

addEventListener("keydown", event => {
  if (event.target.closest?.("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); document.getElementById("filter").focus(); }
  if (event.key === "l") update({ y: state.y === "log" ? "lin" : "log" });
  if (event.key === "d") nextTheme();
});

build();
render();
