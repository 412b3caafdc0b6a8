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
use results::hlog::Interval;
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
        let script = format!("<script>{then}</script></body>");
        std::fs::write(&acted, self.html().replace("</body>", &script)).unwrap();
        let url = format!("file://{}#{hash}", acted.display());
        // A browser that does not come up says nothing of the page: once more.
        run(browser, self.dir.path(), &url)
            .or_else(|_| run(browser, self.dir.path(), &url))
            .unwrap_or_else(|log| panic!("no page came back: {log}"))
    }
}

/// The page as the browser leaves it, or the browser's own words.
fn run(browser: &Path, dir: &Path, url: &str) -> Result<Opened, String> {
    let profile = tempfile::tempdir_in(dir).unwrap();
    let (dom, log) = (dir.join("dom"), dir.join("log"));
    let mut child = Command::new(browser)
        .args("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run".split(' '))
        .args(
            "--disable-background-networking --disable-component-update --disable-sync".split(' '),
        )
        .args(["--disable-dev-shm-usage", "--enable-logging=stderr", "--dump-dom"])
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

fn usual() -> Page {
    let race = Race {
        title: "no-barrier".into(),
        about: "a slot is lost".into(),
        text: "alloc   | swapoff\n<lost>".into(),
    };
    Page::of(&[common::native(&plan()), common::simulated(&plan())], &[race])
}

#[test]
fn charts_are_drawn_without_complaint() {
    let Some(browser) = browser() else { return };
    let opened = usual().open(&browser, "w=*", "");
    assert_eq!(opened.console, Vec::<String>::new());
    for section in ["scaling", "usl", "latency", "contention", "swapoff", "fairness", "predicted"] {
        assert!(!opened.series(section).is_empty(), "{section} shows nothing");
    }
    assert_eq!(opened.series("scaling"), common::VARIANTS);
    for words in [
        "At 64 threads percpu-cluster does",
        "Cache line transfers by field at 64 threads",
        "unsupported: ENOENT: this machine has no PMU event for it",
        "Response and service time",
        "swapoff against device size at 64 threads",
        "dashed: predicted for epyc-7742",
        "percpu-cluster, model",
        "title=\"n = 3 trials\"",
        "fallbacks over time",
        "free clusters over time",
        "&lt;lost&gt;",
        "kvm",
        "What each step is worth",
        "<summary><b>no-barrier</b>: a slot is lost</summary>",
    ] {
        assert!(opened.dom.contains(words), "the page lacks {words:?}");
    }
    for words in ["1 threads", "1 trials", "()", "undefined", "NaN"] {
        assert!(!drawn(&opened.dom).contains(words), "the page says {words:?}");
    }
}

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

#[test]
fn what_is_not_picked_is_one_click_away() {
    let Some(browser) = browser() else { return };
    let click = "document.querySelector('.others button').click(); document.title = location.hash;";
    let opened = usual().open(&browser, "m=native", click);
    assert_eq!(opened.console, Vec::<String>::new());
    assert!(opened.title().contains("w=swapoff"), "{}", opened.title());
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
    let hash = "v=global&v=percluster&m=native&theme=dark&y=lin&q=percluster+64&sort=-ops%2Fs";
    let opened = page.open(&browser, hash, "");
    assert_eq!(opened.console, Vec::<String>::new());
    assert_eq!(opened.series("scaling"), ["global", "percluster"]);
    assert!(opened.dom.contains("<html lang=\"en\" class=\"dark\">"), "theme is not restored");
    assert!(opened.dom.contains("aria-pressed=\"true\" data-pick=\"v:global\""));
    assert!(opened.dom.contains("aria-pressed=\"false\" data-pick=\"v:scanning\""));
    assert!(opened.dom.contains(">3 of 360 cells<"), "the filter leaves three trials");
    assert!(opened.dom.contains("aria-sort=\"descending\""));
    assert!(!opened.dom.contains("(log scale)</text><text x=\"0\""));
}

#[test]
fn what_a_reader_does_reaches_the_address() {
    let Some(browser) = browser() else { return };
    let opened = usual().open(
        &browser,
        "",
        "document.querySelector('[data-pick=\"v:scanning\"]').click();\
         const f = document.getElementById('filter'); f.value = 'global';\
         f.dispatchEvent(new Event('input'));\
         document.dispatchEvent(new KeyboardEvent('keydown', {key: 'l', bubbles: true}));\
         document.title = location.hash;",
    );
    assert_eq!(opened.series("scaling").len(), 4, "a variant was taken out");
    let title = opened.title();
    for part in ["v=global", "v=percluster", "q=global", "y=log"] {
        assert!(title.contains(part), "{title} lacks {part}");
    }
    assert!(!title.contains("v=scanning&amp;"), "{title}");
}

#[test]
fn the_keyboard_stays_where_it_was() {
    let Some(browser) = browser() else { return };
    let opened = usual().open(
        &browser,
        "",
        "const went = [];\
         for (const at of ['[data-pick=\"v:scanning\"]', '[data-sort=\"ops/s\"]', '#theme', '#scaling svg']) {\
             document.querySelector(at).focus();\
             if (at === '#scaling svg') update({ y: 'log' }); else document.activeElement.click();\
             went.push(document.activeElement === document.querySelector(at));\
         }\
         document.title = went.join(' ');",
    );
    assert_eq!(opened.title(), "true true true true", "the focus is lost when the page is redrawn");
}

#[test]
fn a_filter_is_typed_without_a_step_back_for_each_letter() {
    let Some(browser) = browser() else { return };
    let opened = usual().open(
        &browser,
        "",
        "const before = history.length, f = document.getElementById('filter');\
         for (const typed of ['g', 'gl', 'glo']) { f.value = typed; f.dispatchEvent(new Event('input')); }\
         document.title = `${history.length - before} ${location.hash}`;",
    );
    assert_eq!(opened.title(), "0 #q=glo");
}

#[test]
fn every_chart_says_its_runs_and_commits() {
    let Some(browser) = browser() else { return };
    let count = "const all = [...document.querySelectorAll('figure:not(.picture)')];\
                 const said = all.filter(f => f.querySelector('.source').textContent.includes('commit'));\
                 document.title = `${said.length} ${all.length}`;";
    let opened = usual().open(&browser, "w=*", count);
    let (said, all) = opened.title().split_once(' ').unwrap();
    assert!(said == all && all.parse::<u32>().unwrap() > 20, "{}", opened.title());
}

#[test]
fn single_trials_have_no_interval_and_the_last_threads_a_label() {
    let Some(browser) = browser() else { return };
    let plan = Plan { threads: vec![1, 2, 64, 256, 384], trials: 1, ..plan() };
    let opened = Page::of(&[common::simulated(&plan)], &[]).open(&browser, "", "");
    assert_eq!(opened.console, Vec::<String>::new());
    assert!(opened.dom.contains("(too few trials)"), "a band of a single trial");
    let from = opened.dom.find("<section id=\"scaling\"").unwrap();
    assert!(opened.dom[from..].split("</svg>").next().unwrap().contains(">384</text>"));
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
    assert!(opened.dom.contains("alloc over time: percluster"));
    assert!(!opened.dom.contains("alloc.parts"), "parts are no kind of operation");
    assert!(opened.dom.matches("fill-opacity").count() >= 5 * 2, "maps are empty");
    let read = "const map = document.querySelector('#latency svg[aria-label*=tiles]'); map.focus();\
                map.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}));\
                document.title = document.getElementById('tip').textContent;";
    let opened = Page::of(&[with_histograms(dir.path())], &[]).open(&browser, "", read);
    let tip = opened.title();
    assert!(tip.contains(" s, ") && tip.contains("n = ") && tip.contains("operations"), "{tip}");
}

#[test]
fn points_say_their_n_and_range() {
    let Some(browser) = browser() else { return };
    let opened = usual().open(
        &browser,
        "",
        "const c = document.querySelector('#scaling svg'); c.focus();\
         c.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}));\
         document.title = document.getElementById('tip').textContent;",
    );
    let title = opened.title();
    for words in ["global", "1 thread:", "(range:", "n = 3 trials"] {
        assert!(title.contains(words), "{title} lacks {words}");
    }
}

#[test]
fn the_mail_keeps_to_72_plain_columns() {
    let Some(browser) = browser() else { return };
    let opened = usual().open(&browser, "w=*", "document.getElementById('copy').click()");
    let mail = opened.dom.split("<textarea id=\"mail\"").nth(1).unwrap();
    let mail = mail.split_once('>').unwrap().1.split("</textarea>").next().unwrap();
    assert!(mail.lines().count() > 50, "{mail}");
    for line in mail.lines() {
        assert!(line.is_ascii() && line.len() <= 72 && !line.contains('\t'), "{line:?}");
        assert!(!line.starts_with("---") && !line.starts_with('#'), "{line:?}");
    }
    assert!(mail.contains(" percluster                  64"), "{mail}");
    let click = "document.getElementById('copy').click()";
    let opened = usual().open(&browser, "w=*&m=native", click);
    let mail = opened.dom.split("<textarea id=\"mail\"").nth(1).unwrap();
    assert!(mail.contains("run 20260102T030405Z-lab1-example") && !mail.contains("lab1-sim"));
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
    let race = Race { title, about, text };
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
    let opened = page.open(&browser, "w=*&q=global+96", "");
    assert_eq!(opened.console, Vec::<String>::new());
    assert!(opened.dom.contains("200 of 10000 cells"));
    assert!(opened.dom.contains("The first 12 of 20 are shown"));
}
