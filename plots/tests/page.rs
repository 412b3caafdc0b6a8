//! The page in a real browser: charts are drawn, the address is the state, a
//! hostile name is text, nothing is loaded, nothing complains.
//!
//! Where Chromium is not installed these tests say so and pass, unless the environment
//! has SWAPSCALE_BROWSER=required, as in CI.

mod common;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::Plan;
use plots::Race;
use results::compare::{Outcome, Row, Side, compare};
use results::hlog::Interval;
use results::metric::Metric;
use results::store::Loaded;

const PATIENCE: Duration = Duration::from_secs(60);

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path)
        .flat_map(|dir| ["chromium", "chromium-browser", "google-chrome"].map(|n| dir.join(n)))
        .find(|file| file.is_file());
    if found.is_none() {
        let required = std::env::var_os("SWAPSCALE_BROWSER").is_some_and(|v| v == "required");
        assert!(!required, "no chromium on the PATH, which SWAPSCALE_BROWSER requires");
        eprintln!("SKIPPED: no chromium on the PATH, so the page was not opened");
    }
    found
}

/// What the browser made of a page.
struct Opened {
    dom: String,
    /// Messages that the page put on its console.
    console: Vec<String>,
}

impl Opened {
    /// Names of the series of the first chart in a section.
    fn series(&self, section: &str) -> Vec<&str> {
        let from = self.dom.find(&format!("<section id=\"{section}\"")).expect(section);
        let until = from + self.dom[from..].find("</section>").unwrap();
        let section = &self.dom[from..until];
        let end = section.find("</figure>").expect("a chart in the section");
        let names = section[..end].match_indices("data-series=\"");
        names.map(|(at, key)| section[at + key.len()..].split('"').next().unwrap()).collect()
    }

    fn title(&self) -> &str {
        self.dom.split("<title>").nth(1).unwrap().split('<').next().unwrap()
    }
}

struct Page {
    dir: tempfile::TempDir,
}

impl Page {
    fn of(runs: &[Loaded], races: &[Race]) -> Page {
        let dir = tempfile::tempdir().unwrap();
        plots::page(runs, races, &dir.path().join("report.html")).unwrap();
        Page { dir }
    }

    fn html(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("report.html")).unwrap()
    }

    /// Opens the page at `hash`, after `then` ran in it as a reader would act.
    fn open(&self, browser: &Path, hash: &str, then: &str) -> Opened {
        let acted = self.dir.path().join("acted.html");
        // In a block of its own: its names are not the page's.
        let script = format!("<script>{{{then}}}</script></body>");
        std::fs::write(&acted, self.html().replace("</body>", &script)).unwrap();
        let url = format!("file://{}#{hash}", acted.display());
        self.twice(browser, &url, &[DESKTOP])
    }

    /// A browser that does not come up says nothing of the page: once more.
    fn twice(&self, browser: &Path, url: &str, how: &[&str]) -> Opened {
        // Timers of the page run out at once, and the page is what it is after them.
        let how = [how, &["--dump-dom", "--virtual-time-budget=3000"]].concat();
        run(browser, self.dir.path(), url, &how)
            .or_else(|_| run(browser, self.dir.path(), url, &how))
            .unwrap_or_else(|log| panic!("no page came back: {log}"))
    }

    /// The same in a window as wide as a phone: what `then` evaluates to is the title.
    fn on_a_phone(&self, browser: &Path, hash: &str, then: &str) -> Opened {
        let [inner, outer] = ["inner.html", "outer.html"].map(|name| self.dir.path().join(name));
        let script = format!("<script>parent.postMessage(String({then}), '*')</script></body>");
        std::fs::write(&inner, self.html().replace("</body>", &script)).unwrap();
        let frame = format!(
            "<!doctype html><html><head><title>none</title></head><body>\
             <script>onmessage = e => {{ document.title = e.data }}</script>\
             <iframe width=390 height=844 src=\"file://{}#{hash}\"></iframe></body></html>",
            inner.display()
        );
        std::fs::write(&outer, frame).unwrap();
        self.twice(browser, &format!("file://{}", outer.display()), &[DESKTOP])
    }
}

const DESKTOP: &str = "--window-size=1440,900";

/// The page as the browser leaves it, or the browser's own words.
fn run(browser: &Path, dir: &Path, url: &str, how: &[&str]) -> Result<Opened, String> {
    let profile = tempfile::tempdir_in(dir).unwrap();
    let (dom, log) = (profile.path().join("dom"), profile.path().join("log"));
    let mut child = Command::new(browser)
        .args("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run".split(' '))
        .args(
            "--disable-background-networking --disable-component-update --disable-sync".split(' '),
        )
        .args(["--disable-dev-shm-usage", "--enable-logging=stderr"])
        .args(how)
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&dom).unwrap())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            return Err(format!("not done after {PATIENCE:?}: {}", read(&log)));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let console = read(&log).lines().filter(|l| l.contains("CONSOLE")).map(String::from).collect();
    let dom = read(&dom);
    if dom.contains("</html>") { Ok(Opened { dom, console }) } else { Err(read(&log)) }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}

/// What the page drew: its scripts and their data hold words that it must not say.
fn drawn(dom: &str) -> &str {
    &dom[dom.find("<header>").unwrap()..]
}

fn plan() -> Plan<'static> {
    let mut plan = Plan { threads: vec![1, 2, 8, 64], trials: 3, ..Plan::default() };
    plan.workloads.truncate(3);
    plan
}

/// A race of four rows and what it is beside, as `check --json` has them.
fn race() -> Race {
    let row = |lane: usize, op: &str, cell: &str, value: &str, held: &[&str], used: &str| {
        serde_json::json!({
            "lane": lane, "function": "swapoff", "text": format!("{op} {cell} {value}"), "held": held,
            "accesses": [{ "cell": cell, "op": op, "found": null, "value": value, "stale": false }],
            "state": { "si->inuse_pages": used, "swap_map[4]": "HAS_CACHE" },
        })
    };
    let timeline = |rows: Vec<serde_json::Value>, violation: &str| {
        serde_json::json!({
            "order": "sequential", "remark": null, "window": [2, 4],
            "lanes": [{ "cpu": 0, "role": "swapoff" }, { "cpu": 1, "role": "allocator" }],
            "initial": { "si->inuse_pages": "0", "swap_map[4]": "0" },
            "rows": rows, "violation": violation,
        })
    };
    let rows = vec![
        row(1, "lock", "ci[1]->lock", "", &["ci[1]->lock"], "0"),
        row(0, "read", "si->inuse_pages", "0", &[], "0"),
        row(1, "write", "si->inuse_pages", "1", &["ci[1]->lock"], "1"),
        row(1, "unlock", "ci[1]->lock", "", &["ci[1]->lock"], "1"),
    ];
    let holds = timeline(rows[..3].to_vec(), "I2 holds: the barrier waits");
    Race {
        title: "no-barrier put back into percluster/alloc".into(),
        about: "a slot is lost".into(),
        text: "alloc   | swapoff\n<lost>".into(),
        timeline: Some(timeline(rows, "I2: a slot is lost")),
        counterpart: Some(holds),
    }
}

fn usual() -> Page {
    Page::of(&[common::native(&plan()), common::simulated(&plan())], &[race()])
}

/// One measured run with enough trials for verdicts.
fn measured() -> Loaded {
    common::native(&Plan { threads: vec![1, 2, 8, 64], ..Plan::default() })
}

#[test]
fn charts_are_drawn_without_complaint() {
    let Some(browser) = browser() else { return };
    let opened = usual().open(&browser, "w=*&p.size=*", "");
    assert_eq!(opened.console, Vec::<String>::new());
    for section in ["scaling", "usl", "latency", "contention", "swapoff", "fairness", "predicted"] {
        assert!(!opened.series(section).is_empty(), "{section} shows nothing");
    }
    assert_eq!(opened.series("scaling"), NAMES);
    for words in [
        "does most at 8 threads",
        "Cache line transfers by field at 64 threads",
        "unsupported: ENOENT: this machine has no PMU event for it",
        "never counted an event: page-faults",
        "Response and service time",
        "swapoff against device size at 64 threads",
        "dashed: churn, predicted for epyc-7742",
        "6.18 percpu-cluster, model",
        "title=\"n = 3 trials\"",
        "fallbacks over time",
        "free clusters over time",
        "&lt;lost&gt;",
        "hypervisor: kvm",
        "<h3>What each step is worth</h3>",
        "no-barrier put back into percluster/alloc",
        "Without it a slot is lost.",
    ] {
        assert!(opened.dom.contains(words), "the page lacks {words:?}");
    }
    for words in ["1 threads", "1 trials", "()", "undefined", "NaN", "darker", "null"] {
        // Functions of the kernel have brackets.
        let drawn = drawn(&opened.dom).replace("swapoff()", "");
        assert!(!drawn.contains(words), "the page says {words:?}");
    }
}

/// The names of [`common::VARIANTS`].
const NAMES: [&str; 5] =
    ["global", "6.12 scanning", "scanning-ref", "6.14 percluster", "6.18 percpu-cluster"];

#[test]
fn like_is_held_against_like() {
    let Some(browser) = browser() else { return };
    let mut run = common::native(&plan());
    run.cells.retain(|c| c.key.variant != "scanning" || c.key.threads <= 8);
    let opened = Page::of(&[run], &[]).open(&browser, "", "");
    assert_eq!(opened.console, Vec::<String>::new());
    assert!(opened.dom.contains("Waiting by lock site at 8 threads"));
    assert!(opened.dom.contains("Share of each thread at 8 threads"));
    for chart in ["Waiting by lock site", "Share of each thread"] {
        let at_64 = format!("{chart} at 64 threads");
        assert!(!opened.dom.contains(&at_64), "a variant without 64 threads is beside it");
    }
}

/// Three digits, as the page writes them.
fn three(v: f64) -> String {
    let digits = (2 - v.abs().log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{v:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

/// A row of `compare` at 64 threads of churn.
fn row(run: &Loaded, base: &str, new: &str) -> Row {
    let side = |name| Side::of_variant(run, name).unwrap();
    let all = compare(&side(base), &side(new), &Metric::Throughput).unwrap();
    let here = |row: &Row| row.key.workload == "churn" && row.key.threads == 64;
    all.rows.into_iter().find(here).unwrap()
}

/// What the page must say of two variants, each with its name there.
fn sentence(run: &Loaded, [base, base_name]: [&str; 2], [new, new_name]: [&str; 2]) -> String {
    let row = row(run, base, new);
    let (ratio, interval) = (three(row.ratio), row.interval.unwrap());
    let (lo, hi) = (three(interval.lo), three(interval.hi));
    let evidence = format!("95 % interval {lo} to {hi}; n = {} + {}", row.base.n, row.new.n);
    match row.outcome {
        Outcome::NotSignificant => {
            format!("{new_name} cannot be told from {base_name} (ratio {ratio}; {evidence})")
        }
        _ => format!("{new_name} does {ratio} times {base_name} ({evidence})"),
    }
}

const FIRST: &str = "document.title = document.querySelector('.answers').textContent";

#[test]
fn the_first_sentences_are_what_compare_finds() {
    let Some(browser) = browser() else { return };
    let [scanning, percluster, newest] = [
        ["scanning", "6.12 scanning"],
        ["percluster", "6.14 percluster"],
        ["percpu-cluster", "6.18 percpu-cluster"],
    ];
    let run = measured();
    let said = [sentence(&run, scanning, percluster), sentence(&run, percluster, newest)];
    let known = row(&run, percluster[0], newest[0]);
    let page = Page::of(&[run], &[]);
    let opened = page.open(&browser, "", FIRST);
    assert_eq!(opened.console, Vec::<String>::new());
    for said in said {
        assert!(opened.title().contains(&said), "{} lacks {said}", opened.title());
    }
    assert!(opened.title().contains("6.14 percluster takes"), "swapoff has a sentence");
    let opened = page.open(&browser, "b=6.18+percpu-cluster", FIRST);
    // The page has four digits of what it turns round.
    let turned = |v: f64| three(1.0 / format!("{v:.3e}").parse::<f64>().unwrap());
    let (ratio, hi) = (turned(known.ratio), turned(known.interval.unwrap().lo));
    let turned = format!("6.14 percluster does {ratio} times 6.18 percpu-cluster (95 % interval");
    assert!(opened.title().contains(&turned), "{} lacks {turned}", opened.title());
    assert!(opened.title().contains(&format!(" to {hi}; n = 6 + 6)")), "{}", opened.title());
}

/// One scheme twice, so that what differs is noise; in some trials something from outside.
#[test]
fn no_winner_is_claimed_that_compare_refuses() {
    let Some(browser) = browser() else { return };
    let mut run = measured();
    for (i, cell) in run.cells.iter_mut().enumerate() {
        cell.ops_per_s = 1e6 + (i * 7919 % 100) as f64 * 1e3;
    }
    let tiles = "document.title = [...document.querySelectorAll('.tile')].every(t => t.textContent.startsWith('~'))\
                 + ' ' + document.querySelector('.answers').textContent";
    let opened = Page::of(&[run], &[]).open(&browser, "w=churn", tiles);
    assert!(opened.title().starts_with("true "), "a tile claims a difference: {}", opened.title());
    assert!(opened.title().contains("6.14 percluster cannot be told from 6.12 scanning ("));
    let mut run = measured();
    for cell in run.cells.iter_mut().filter(|c| c.key.variant == "scanning") {
        cell.asked_ns = Some(cell.duration_ns * 4 / 5);
    }
    let opened = Page::of(&[run], &[]).open(&browser, "", FIRST);
    let hit = "6 + 0 trials hit from outside; does not stand without the hit trials)";
    assert!(opened.title().contains(hit), "{}", opened.title());
}

#[test]
fn a_tile_leads_to_its_charts() {
    let Some(browser) = browser() else { return };
    let act = "const grid = document.querySelector('[role=grid]');\
         const stops = grid.querySelectorAll('[tabindex=\"0\"]').length;\
         const key = k => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: k, bubbles: true}));\
         grid.querySelector('.tile').focus(); const from = document.activeElement.dataset.tile;\
         key('ArrowRight'); key('ArrowDown'); const to = document.activeElement.dataset.tile; key('Enter');\
         document.title = [stops, from, to, location.hash].join(' | ');";
    let opened = usual().open(&browser, "m=native", act);
    assert_eq!(opened.console, Vec::<String>::new());
    let way = "1 | churn native 6.14 percluster 1 | swapoff native 6.14 percluster 2 | #w=swapoff&amp;m=native";
    assert_eq!(opened.title(), way);
    assert!(opened.dom.contains("swapoff by step"));
}

#[test]
fn a_complaint_would_be_seen() {
    let Some(browser) = browser() else { return };
    let opened = usual().open(&browser, "", "throw new Error('deliberate')");
    assert!(opened.console.iter().any(|l| l.contains("deliberate")), "{:?}", opened.console);
}

#[test]
fn the_address_picks_and_is_restored() {
    let Some(browser) = browser() else { return };
    let page = usual();
    let hash = "v=global&v=6.14+percluster&m=native&theme=dark&y=lin&q=percluster+64&sort=-ops%2Fs";
    let opened =
        page.open(&browser, hash, "document.title = document.querySelector('#count').textContent");
    assert_eq!(opened.console, Vec::<String>::new());
    assert_eq!(opened.series("scaling"), ["global", "6.14 percluster"]);
    assert!(opened.dom.contains("<html lang=\"en\" class=\"dark\">"), "theme is not restored");
    assert!(opened.dom.contains("aria-pressed=\"true\" data-pick=\"v:global\""));
    assert!(opened.dom.contains("aria-pressed=\"false\" data-pick=\"v:6.12 scanning\""));
    assert_eq!(opened.title(), "3 of 360 cells", "the filter leaves three trials");
    assert!(opened.dom.contains("aria-sort=\"descending\""));
    assert!(!opened.dom.contains("(log scale)</text><text x=\"0\""));
}

#[test]
fn what_a_reader_does_reaches_the_address() {
    let Some(browser) = browser() else { return };
    let opened = usual().open(
        &browser,
        "",
        "document.querySelector('[data-pick=\"v:6.12 scanning\"]').click();\
         const f = document.getElementById('filter'); f.value = 'global';\
         f.dispatchEvent(new Event('input'));\
         document.dispatchEvent(new KeyboardEvent('keydown', {key: 'l', bubbles: true}));\
         setTimeout(() => { document.title = location.hash; }, 500);",
    );
    assert_eq!(opened.series("scaling").len(), 4, "a variant was taken out");
    let title = opened.title();
    for part in ["v=global", "v=6.14+percluster", "q=global", "y=log"] {
        assert!(title.contains(part), "{title} lacks {part}");
    }
    assert!(!title.contains("v=6.12+scanning&amp;"), "{title}");
}

/// Each parameter is a facet of its own; what is not asked for is what most points have.
#[test]
fn facets_pick_one_place_of_each_machine() {
    let Some(browser) = browser() else { return };
    let sized = |fill: &str, size: &str| {
        (
            "churn",
            [("fill", fill), ("size", size), ("orders", "0")]
                .map(|(k, v)| (k.into(), v.into()))
                .into(),
        )
    };
    let few = |workloads| Plan { threads: vec![1, 2], trials: 1, workloads, ..Plan::default() };
    let mut old =
        common::native(&few(vec![sized("60", "1GiB"), sized("60", "2GiB"), sized("90", "1GiB")]));
    old.run.id = "20250102T030405Z-old".into();
    old.run.label = "old".into();
    let new = common::native(&few(vec![sized("60", "1GiB")]));
    let other = common::simulated(&few(vec![sized("60", "1GiB"), sized("90", "8GiB")]));
    let page = Page::of(&[old, new, other], &[]);
    let look = "const charts = [...document.querySelectorAll('#scaling .charts')][0];\
        const values = id => [...document.querySelectorAll(`#pick-${id} option`)].map(o => o.value).join(',');\
        document.title = [...charts.querySelectorAll('figcaption span')].map(s => s.textContent).join(' / ')\
        + ' | ' + values('p-fill') + ' | ' + values('p-size') + ' | ' + values('p-orders')\
        + ' | ' + charts.querySelector('.source').textContent.includes('lab1-example')\
        + ' | ' + charts.querySelectorAll('[data-series]').length + ' | ' + document.querySelector('.about').textContent;";
    let opened = page.open(&browser, "", look);
    let parts: Vec<&str> = opened.title().split(" | ").collect();
    let both = "churn, fill 60, size 1GiB, measured on native / churn, fill 60, size 1GiB, predicted for epyc-7742";
    assert_eq!(parts[0], both);
    assert_eq!(parts[1..4], [",60,90,*", ",1GiB,2GiB,8GiB,*", ""], "a facet of each that differs");
    assert_eq!(parts[4], "true", "of two runs of one place the newest");
    assert_eq!(parts[5], "10", "five variants in each chart, whatever run they are of");
    assert!(parts[6].contains("all with orders 0"), "{}", parts[6]);
    let opened = page.open(&browser, "p.fill=90&run=20250102T030405Z-old", look);
    assert!(
        opened.title().starts_with("churn, fill 90, size 1GiB, measured on native |"),
        "{}",
        opened.title()
    );
}

#[test]
fn the_keyboard_stays_where_it_was() {
    let Some(browser) = browser() else { return };
    let opened = usual().open(
        &browser,
        "",
        "const went = [];\
         for (const at of ['[data-pick=\"v:6.12 scanning\"]', '[data-sort=\"ops/s\"]', '#more', '#scaling svg.lines']) {\
             document.querySelector(at).focus();\
             if (at === '#scaling svg.lines') update({ y: 'log' }); else document.activeElement.click();\
             went.push(document.activeElement === document.querySelector(at));\
         }\
         document.title = went.join(' ');",
    );
    assert_eq!(opened.title(), "true true true true", "the focus is lost when the page is redrawn");
}

/// How many stops Tab makes before the first chart, and whether the skip link leads there.
const STOPS: &str = "(() => {\
    const chart = document.querySelector('#scaling svg.lines');\
    const all = [...document.querySelectorAll('a[href], button, select, input, textarea, summary, [tabindex]')]\
        .filter(e => e.tabIndex >= 0 && !e.disabled && e.checkVisibility());\
    document.querySelector('.skip').click();\
    return `${all.indexOf(chart)} ${all[0].className} ${document.activeElement === chart}`;\
})()";

/// Letters draw the table alone, once for all of them; none is a step back.
#[test]
fn a_filter_that_is_typed_draws_no_chart() {
    let Some(browser) = browser() else { return };
    let opened = usual().open(
        &browser,
        "",
        "let charts = 0, tables = 0; const chart = lineChart, raw = table;\
         lineChart = (...a) => { charts++; return chart(...a); };\
         table = (...a) => { tables++; return raw(...a); };\
         const before = history.length, f = document.getElementById('filter');\
         for (const typed of ['g', 'gl', 'glo']) { f.value = typed; f.dispatchEvent(new Event('input')); }\
         setTimeout(() => { document.title = `${history.length - before} ${location.hash} ${charts} ${tables} ${f.value}`; }, 500);",
    );
    assert_eq!(opened.title(), "0 #q=glo 0 1 glo");
}

#[test]
fn every_chart_says_its_runs_and_commits() {
    let Some(browser) = browser() else { return };
    let count = "const all = [...document.querySelectorAll('section figure:not(.picture)')];\
                 const said = all.filter(f => f.querySelector('.source').textContent.includes('commit'));\
                 const named = [...document.querySelectorAll('svg[role=img]')].filter(s => s.getAttribute('aria-label').length > 20);\
                 document.title = `${said.length} ${all.length} ${named.length - document.querySelectorAll('svg[role=img]').length}`;";
    let opened = usual().open(&browser, "w=*", count);
    let counts: Vec<i32> = opened.title().split(' ').map(|n| n.parse().unwrap()).collect();
    assert!(counts[0] == counts[1] && counts[1] > 20, "{counts:?}");
    assert_eq!(counts[2], 0, "a chart has no words for those who cannot see it");
}

#[test]
fn single_trials_have_no_interval_and_the_last_threads_a_label() {
    let Some(browser) = browser() else { return };
    let plan = Plan { threads: vec![1, 2, 64, 256, 384], trials: 1, ..plan() };
    let text = Race { title: "drawn by hand".into(), text: "a | b".into(), ..Race::default() };
    let opened = Page::of(&[common::simulated(&plan)], &[text]).open(&browser, "", "");
    assert_eq!(opened.console, Vec::<String>::new());
    assert!(opened.dom.contains("a | b</pre>"), "a race that is text alone");
    assert!(opened.dom.contains("(too few trials)"), "a band of a single trial");
    assert!(opened.dom.contains("(1 trial: no verdict)"), "a verdict on a single trial");
    let from = opened.dom.find("<section id=\"scaling\"").unwrap();
    assert!(opened.dom[from..].split("</svg>").next().unwrap().contains(">384</text>"));
}

/// A curve is drawn of a law that fits, and only as far as was measured.
#[test]
fn a_law_that_does_not_fit_is_not_drawn() {
    let Some(browser) = browser() else { return };
    let mut run = measured();
    for cell in run.cells.iter_mut().filter(|c| c.key.variant == "global") {
        let odd = [(1, 1.0), (2, 9.0), (8, 0.5), (64, 7.0)];
        cell.ops_per_s = 1e6 * odd.iter().find(|(n, _)| *n == cell.key.threads).unwrap().1;
    }
    let look = "document.title = [...document.querySelectorAll('#usl .line')].map(l => l.parentNode.dataset.series).join()";
    let opened = Page::of(&[run], &[]).open(&browser, "", look);
    assert!(
        !opened.title().contains("global") && opened.title().contains("6.14 percluster"),
        "{}",
        opened.title()
    );
    assert!(opened.dom.contains("does not fit, not drawn: global"));
    assert!(
        !opened
            .dom
            .split("<section id=\"usl\"")
            .nth(1)
            .unwrap()
            .split("</svg>")
            .next()
            .unwrap()
            .contains(">128</text>")
    );
}

/// A run whose cells have histograms beside them, eight intervals a trial.
fn with_histograms(dir: &Path) -> Loaded {
    let mut run = common::native(&plan());
    run.dir = dir.into();
    for cell in &mut run.cells {
        let intervals: Vec<Interval> = (0..8u64)
            .map(|i| {
                let mut histogram = hdrhistogram::Histogram::new(2).unwrap();
                (0..500u64).for_each(|n| histogram.record(100 + n * n * (i + 1)).unwrap());
                let second = 1_000_000_000;
                let (start_ns, duration_ns) = (i * second, second);
                Interval { tag: "alloc".into(), start_ns, duration_ns, histogram }
            })
            .collect();
        let mut log = vec![intervals[0].clone()];
        log.extend(intervals.into_iter().map(|i| Interval { tag: "alloc.parts".into(), ..i }));
        let name = format!("{}.hlog", cell.order_in_run);
        std::fs::write(dir.join(&name), results::hlog::encode(&log).unwrap()).unwrap();
        cell.hlog = Some(name);
    }
    run
}

#[test]
fn histograms_give_the_whole_curve_and_its_course() {
    let Some(browser) = browser() else { return };
    let dir = tempfile::tempdir().unwrap();
    let opened = Page::of(&[with_histograms(dir.path())], &[]).open(&browser, "", "");
    assert_eq!(opened.console, Vec::<String>::new());
    assert!(opened.dom.contains("Distribution of alloc at 64 threads"));
    assert!(opened.dom.contains("alloc over time: 6.14 percluster"));
    assert!(opened.dom.contains("stronger: more operations"));
    assert!(!opened.dom.contains("alloc.parts"), "parts are no kind of operation");
    assert!(opened.dom.matches("fill-opacity").count() >= 5 * 2, "maps are empty");
    let read = "const map = document.querySelector('#latency svg[aria-label*=tiles]'); map.focus();\
                map.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}));\
                document.title = document.getElementById('tip').textContent;";
    let opened = Page::of(&[with_histograms(dir.path())], &[]).open(&browser, "", read);
    let tip = opened.title();
    assert!(tip.contains(" s, ") && tip.contains("n = ") && tip.contains("operations"), "{tip}");
}

/// What a chart's crosshair, its brush and its isolated series do, in one page.
#[test]
fn charts_speak_together() {
    let Some(browser) = browser() else { return };
    let act = "const out = [], charts = () => [...document.querySelectorAll('#scaling svg.lines')];\
         const key = (c, k) => c.dispatchEvent(new KeyboardEvent('keydown', {key: k, bubbles: true}));\
         const ruled = () => charts().filter(c => c.querySelector('line.cross').getAttribute('visibility') === 'visible').length;\
         charts()[0].focus(); key(charts()[0], 'ArrowRight'); key(charts()[0], 'ArrowRight');\
         out.push(document.getElementById('tip').textContent.replaceAll('\\n', '; '), `${ruled()} of ${charts().length}`);\
         const at = (c, name, x) => { const box = c.getBoundingClientRect();\
             c.dispatchEvent(new PointerEvent(name, {clientX: box.left + x * box.width, clientY: box.top + 50, button: 0, pointerType: 'mouse', bubbles: true})); };\
         at(charts()[0], 'pointerdown', 0.12); at(charts()[0], 'pointermove', 0.4);\
         out.push(charts().filter(c => c.querySelector('.brush').getAttribute('visibility') === 'visible').length);\
         at(charts()[0], 'pointerup', 0.4);\
         out.push(location.hash, charts()[0].textContent.includes('64'), document.activeElement === charts()[0]);\
         key(charts()[0], '-'); out.push(location.hash);\
         charts()[0].querySelector('[data-isolate=\"6.14 percluster\"]').dispatchEvent(new MouseEvent('click', {bubbles: true}));\
         out.push(location.hash, charts()[1].querySelectorAll('g.faint').length);\
         document.title = out.join(' | ');";
    let opened = Page::of(&[measured()], &[]).open(&browser, "", act);
    assert_eq!(opened.console, Vec::<String>::new());
    let parts: Vec<&str> = opened.title().split(" | ").collect();
    let tip = parts[0];
    assert!(tip.starts_with("2 threads; ▸ global:"), "{tip}");
    for words in NAMES.into_iter().chain([
        "(95 %: ",
        "n = 6 trials",
        " times 6.12 scanning",
        " times 6.14 percluster",
    ]) {
        assert!(tip.contains(words), "{tip} lacks {words}");
    }
    assert_eq!(parts[1..4], ["3 of 3", "3", "#z=1-8"], "the charts of one x are not linked");
    assert_eq!(parts[4..], ["false", "true", "", "#i=6.14+percluster", "4"], "{}", opened.title());
}

#[test]
fn a_race_is_stepped_through() {
    let Some(browser) = browser() else { return };
    let act = "const out = [], box = () => document.querySelector('.stepper');\
         const say = () => out.push([document.getElementById('step').textContent,\
             [...document.querySelectorAll('.memory td')].map(c => c.textContent + (c.className.includes('changed') ? '*' : '')).join(),\
             document.querySelectorAll('.act.now').length, document.querySelectorAll('.act.later').length].join(' '));\
         say(); box().focus();\
         for (const key of ['Home', 'ArrowRight', 'ArrowDown', 'ArrowDown']) {\
             box().dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true})); say(); }\
         out.push(document.activeElement === box(), location.hash, document.querySelector('.stepper [role=status]').textContent,\
             document.querySelectorAll('.lifelines').length, document.querySelectorAll('.lifelines .bar').length, document.querySelectorAll('.window').length);\
         document.title = out.join(' | ');";
    let opened = usual().open(&browser, "", act);
    assert_eq!(opened.console, Vec::<String>::new());
    let parts: Vec<&str> = opened.title().split(" | ").collect();
    assert_eq!(parts[0], "step 4 of 4 1,HAS_CACHE,1,HAS_CACHE 1 0", "at first the whole race");
    assert_eq!(parts[1], "step 0 of 4 0,0,0,0 0 7");
    assert_eq!(parts[2], "step 1 of 4 0,HAS_CACHE*,0,HAS_CACHE* 2 5");
    assert_eq!(parts[4], "step 3 of 4 1*,HAS_CACHE,1*,HAS_CACHE 2 1");
    assert_eq!(parts[5..7], ["true", "#step=3"]);
    assert!(
        parts[7].contains("With the barrier, step 3, CPU 1: write si-&gt;inuse_pages 1."),
        "{}",
        parts[7]
    );
    assert_eq!(parts[8..], ["2", "2", "2"], "two sides, each with a lock's bar and a window");
}

fn mail_of(opened: &Opened) -> &str {
    let mail = opened.dom.split("<textarea id=\"mail\"").nth(1).unwrap();
    mail.split_once('>').unwrap().1.split("</textarea>").next().unwrap()
}

#[test]
fn the_mail_keeps_to_72_plain_columns_and_to_the_filter() {
    let Some(browser) = browser() else { return };
    let click = "document.getElementById('copy').click()";
    let opened = usual().open(&browser, "w=*", click);
    let mail = mail_of(&opened);
    assert!(mail.lines().count() > 50, "{mail}");
    for line in mail.lines() {
        assert!(line.is_ascii() && line.len() <= 72 && !line.contains('\t'), "{line:?}");
        assert!(!line.starts_with("---") && !line.starts_with('#'), "{line:?}");
    }
    assert!(mail.contains("in Mops/s") && mail.contains(" 6.14 percluster         64"), "{mail}");
    assert!(mail.contains("lab1-sim"));
    let mut run = measured();
    for (i, cell) in run.cells.iter_mut().enumerate() {
        cell.ops_per_s = 1e6 + (i * 7919 % 100) as f64 * 1e3;
    }
    let opened = Page::of(&[run, common::simulated(&plan())], &[]).open(
        &browser,
        "q=percluster+64+native",
        click,
    );
    let mail = mail_of(&opened);
    let points = mail.lines().filter(|line| line.starts_with(" 6.") || line.starts_with(" global"));
    let points: Vec<&str> = points.collect();
    assert!(points.len() == 1 && points[0].ends_with("~ 6.12"), "{mail}");
    assert!(!mail.contains("lab1-sim"), "the mail names a run of which it has no point");
}

/// Nothing picked is not everything: the last variant stays.
#[test]
fn the_last_variant_cannot_be_unpicked() {
    let Some(browser) = browser() else { return };
    let act = "document.querySelector('[data-pick=\"v:global\"]').click(); document.title = location.hash";
    let opened = usual().open(&browser, "v=global", act);
    assert_eq!(opened.title(), "#v=global");
    assert_eq!(opened.series("scaling"), ["global"]);
}

/// 390 pixels: the body does not scroll sideways, the first chart is near, its text can be read.
#[test]
fn a_phone_shows_the_first_chart_soon() {
    let Some(browser) = browser() else { return };
    let look = "(() => { const svg = document.querySelector('#scaling svg.lines'), box = svg.getBoundingClientRect();\
        const sizes = [...document.querySelectorAll('svg text')].filter(t => t.textContent && t.checkVisibility())\
            .map(t => parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a);\
        return [innerWidth, document.documentElement.scrollWidth <= innerWidth, box.top < 2 * innerHeight, box.right <= innerWidth,\
            Math.min(...sizes) >= 12].join(' '); })()";
    let opened = usual().on_a_phone(&browser, "w=*", look);
    assert_eq!(opened.console, Vec::<String>::new());
    assert_eq!(opened.title(), "390 true true true true");
}

#[test]
fn it_is_printed_on_light_paper_without_controls() {
    let Some(browser) = browser() else { return };
    let page = usual();
    let seen = "dispatchEvent(new Event('beforeprint'));\
        const rules = [...document.styleSheets[0].cssRules].filter(r => r.media?.mediaText === 'print').flatMap(r => [...r.cssRules]);\
        document.title = document.documentElement.className + '|' + rules.filter(r => r.style.display === 'none').map(r => r.selectorText).join();";
    let opened = page.open(&browser, "theme=dark", seen);
    let (class, hidden) = opened.title().split_once('|').unwrap();
    assert!(class.is_empty() && hidden.contains(".pickers") && hidden.contains("nav"), "{hidden}");
    let pdf = page.dir.path().join("page.pdf");
    let url = format!("file://{}", page.dir.path().join("report.html").display());
    let print = format!("--print-to-pdf={}", pdf.display());
    // It writes a file and no page.
    let _ = run(&browser, page.dir.path(), &url, &[&print, "--no-pdf-header-footer"]);
    let pdf = String::from_utf8_lossy(&std::fs::read(pdf).unwrap()).into_owned();
    let sheets = pdf.matches("/Type /Page\n").count();
    assert!((2..60).contains(&sheets), "{sheets} sheets");
}

/// The rules of axe-core, which npm fetches for this test and the repository does not hold.
fn axe() -> Option<String> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("axe-core-4.10.3");
    let script = dir.join("node_modules/axe-core/axe.min.js");
    if !script.is_file() {
        let npm = Command::new("npm")
            .args([
                "install",
                "--silent",
                "--no-save",
                "--ignore-scripts",
                "--fetch-retries=0",
                "--prefix",
            ])
            .arg(&dir)
            .arg("axe-core@4.10.3")
            .stdin(Stdio::null())
            .output();
        if !npm.is_ok_and(|out| out.status.success()) {
            eprintln!("SKIPPED: npm could not fetch axe-core, so accessibility was not checked");
            return None;
        }
    }
    Some(std::fs::read_to_string(script).unwrap().replace("</script", "<\\/script"))
}

#[test]
fn no_serious_barrier_to_accessibility() {
    let Some(browser) = browser() else { return };
    let Some(axe) = axe() else { return };
    let check = "axe.run(document, {resultTypes: ['violations']}).then(r => {\
        const bad = r.violations.filter(v => ['serious', 'critical'].includes(v.impact));\
        document.title = `checked ${r.passes.length > 10} ` + bad.map(v => v.id + ': ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(' ; ')).join(' | '); });";
    let page = usual();
    for hash in ["p.size=*", "w=swapoff&theme=dark&step=2"] {
        let opened = page.open(&browser, hash, &format!("{axe};{check}"));
        assert_eq!(opened.title(), "checked true ", "at #{hash}");
    }
    let heading = check.replace("axe.run(document", "axe.run('h1'");
    let spoiled = format!("{axe};document.querySelector('h1').style.color = '#eee';{heading}");
    let opened = page.open(&browser, "", &spoiled);
    assert!(opened.title().contains("color-contrast"), "a finding would not be seen");
}

#[test]
fn a_hostile_name_is_text_and_loads_nothing() {
    let Some(browser) = browser() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let hostile =
        format!("</script><img src=http://127.0.0.1:{port}/x onerror=document.title='hit'>");
    let plan = Plan { variants: vec![&hostile, "global"], ..plan() };
    let [title, about, text] = [(); 3].map(|()| hostile.clone());
    let mut race = Race { title, about, text, ..race() };
    let timeline = race.timeline.as_mut().unwrap();
    timeline["violation"] = hostile.clone().into();
    timeline["rows"][0]["text"] = hostile.clone().into();
    timeline["initial"][&hostile] = hostile.clone().into();
    let page = Page::of(&[common::native(&plan)], &[race]);
    let opened = page.open(&browser, "", "document.title = `images: ${document.images.length}`");
    assert_eq!(opened.console, Vec::<String>::new());
    assert_eq!(opened.title(), "images: 0");
    assert!(opened.dom.contains("&lt;/script&gt;&lt;img src=http://127.0.0.1"));
    assert_eq!(opened.series("scaling").len(), 2);
    // Even markup that got in could load nothing: the page's own policy forbids it.
    let put = format!("document.body.innerHTML += '<img src=\"http://127.0.0.1:{port}/y\">'");
    let opened = page.open(&browser, "", &put);
    assert!(opened.console.iter().any(|l| l.contains("Content Security Policy")));
    assert!(listener.accept().is_err(), "the page asked the network");
}

#[test]
fn nothing_outside_is_named() {
    let html = usual().html();
    let own = html.replace("http://www.w3.org/2000/svg", "");
    for word in
        ["http:", "https:", "//cdn", "src=", "url(", "@import", "fetch(", "XMLHttp", "href=\"h"]
    {
        assert!(!own.contains(word), "the page holds {word:?}");
    }
}

#[test]
fn ten_thousand_cells_stay_small_and_usable() {
    let mut plan = Plan { threads: vec![1, 2, 4, 8, 16, 24, 32, 48, 64, 96], ..Plan::default() };
    plan.trials = 10;
    let fill = |n: usize| ("churn", [("fill".to_string(), n.to_string())].into());
    plan.workloads = (0..20).map(fill).collect();
    let mut run = common::native(&plan);
    assert_eq!(run.cells.len(), 10_000);
    for cell in &mut run.cells {
        cell.series.clear();
    }
    let page = Page::of(&[run], &[]);
    let size = page.html().len();
    assert!(size < 2_000_000, "the page has {size} bytes");
    let Some(browser) = browser() else { return };
    let opened =
        page.open(&browser, "w=*&p.fill=*&q=global+96", &format!("document.title = {STOPS}"));
    assert_eq!(opened.console, Vec::<String>::new());
    assert!(opened.dom.contains("200 of 10000 cells"));
    assert!(opened.dom.contains("The first 12 of 20 are shown"));
    let opened = page.open(
        &browser,
        "",
        "document.title = document.querySelectorAll('#scaling .charts')[0].children.length",
    );
    assert_eq!(opened.title(), "1", "without being asked the page draws one place");
}

/// The committed runs on one page: what a maintainer opens.
#[test]
fn all_reference_runs_are_one_light_page() {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/reference");
    let runs = std::fs::read_dir(reference).unwrap().map(|entry| entry.unwrap().path());
    let mut runs: Vec<PathBuf> = runs.filter(|dir| dir.join("run.json").is_file()).collect();
    runs.sort();
    let page = Page::of(&results::store::load_all(&runs).unwrap(), &[race()]);
    let size = page.html().len();
    assert!(size < 2_000_000, "the page has {size} bytes");
    let Some(browser) = browser() else { return };
    let look = format!(
        "const box = document.querySelector('#scaling svg.lines').getBoundingClientRect();\
        document.title = [box.top < 2 * 900, document.querySelectorAll('#pick-w option').length - 1, document.querySelectorAll('.map').length,\
        document.querySelector('.map').getBoundingClientRect().top < 900, document.querySelector('.pickers').offsetHeight < 120, {STOPS}].join(' ')"
    );
    let opened = page.open(&browser, "", &look);
    assert_eq!(opened.console, Vec::<String>::new());
    let said: Vec<&str> = opened.title().split(' ').collect();
    assert_eq!(
        [said[0], said[2], said[3], said[4]],
        ["true", "2", "true", "true"],
        "{}",
        opened.title()
    );
    let workloads: usize = said[1].parse().unwrap();
    assert!((2..=12).contains(&workloads), "{workloads} entries in the workload selector");
    let stops: usize = said[5].parse().unwrap();
    assert!((3..=15).contains(&stops), "{stops} tab stops before the first chart");
    assert_eq!(said[6..], ["skip", "true"], "the skip link comes first and leads to the chart");
}
