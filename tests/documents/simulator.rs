//! docs/simulator.md: how good the predictions of the committed `swapscale validate` are.

use std::fmt::Write;

use results::stats::{median, quantile};
use results::validation::{Basis, Point, Section, Validation};

use super::Document;
use super::fill::{Claim, claim};
use super::reference::{digits, root, span, text};

pub fn document() -> Document {
    let folder = root().join("results/reference/validation");
    let all = Validation::read(&folder).expect("validation.json");
    let printed = text(&folder.join("validate.txt"));
    let section =
        |id: &str| all.sections.iter().find(|section| section.id == id).expect("a section");
    let curves = curves(&printed);
    let lock_curves = section("curves");
    let later = root().join("results/reference/validation-blind");
    let later_printed = text(&later.join("validate.txt"));
    let later = Validation::read(&later).expect("validation.json").sections.remove(0);
    let sentences = [
        elsewhere(&section),
        pairs(&printed),
        order(lock_curves, &printed),
        wrong(lock_curves),
        wrong_later(&later),
    ];
    let sentences = sentences.into_iter().flatten().collect();
    let build = Validation::read(&root().join("results/reference/validation-build"));
    let build = build.expect("validation.json").sections;
    let verbatim = |id: &str| {
        let section = build.iter().find(|section| section.id == id).expect("a section");
        format!("```text\n{}```\n", section.table())
    };
    let blocks = vec![
        ("curves", curves),
        ("blind", blind(&later_printed)),
        ("kernel build", verbatim("kernel-build")),
        ("steps", verbatim("steps")),
        (
            "speed",
            format!("```text\n{}```\n", text(&root().join("results/reference/simulator.txt"))),
        ),
    ];
    Document { path: "docs/simulator.md", sentences, blocks }
}

/// The hosts that came after the model: median errors, order, best thread counts and misses.
fn blind(printed: &str) -> String {
    let mut table =
        "| median error, % | both hosts | x86-3 | x86-4 |\n| --- | ---: | ---: | ---: |\n"
            .to_owned();
    for (load, limit) in [("held", 15), ("nothing held", 35)] {
        for lock in ["ticket_spinlock", "queued_spinlock", "osq_lock", "swap_mutex"] {
            let hosts = ["all hosts", "x86-3", "x86-4"]
                .map(|hosts| error(printed, load, lock, hosts).expect("a line of validate.txt"));
            let limit =
                if (load, lock) == ("held", "swap_mutex") { "-".into() } else { limit.to_string() };
            writeln!(table, "| {load}: {lock} ({limit}) | {} |", hosts.join(" | "))
                .expect("a string takes it");
        }
    }
    let line = |words: &str| printed.lines().find(|l| l.contains(words)).expect("a line").trim();
    let all = error(printed, "all", "all locks, hosts", "pooled").expect("a line");
    let order = line("order of two locks right in ");
    let right = order.split_once("right in ").and_then(|(_, rest)| rest.split_once(" that"));
    let missed: Vec<&str> = printed.lines().filter(|l| l.trim().starts_with("MISS")).collect();
    table
        + &format!("| all cells pooled (20) | {all} | | |\n")
        + &format!("| order of two locks right in | {} | | |\n", right.expect("pairs").0)
        + &format!("| targets missed | {} | | |\n", missed.len())
}

fn wrong_later(curves: &Section) -> Vec<Claim> {
    let panel = "x86-3, 200 ns";
    let ours = |p: &&Point| p.panel.starts_with(panel) && p.curve == "swap_mutex" && p.x == 48.0;
    let point = curves.points.iter().find(ours).expect("the cell");
    vec![claim(
        "(x86-3, 200 ns held, 48 threads: {} ns predicted, {} ns measured)",
        [digits(point.predicted, 0), digits(point.measured, 0)],
    )]
}

/// The median error that a line of validate.txt ends with: `held ticket_spinlock x86-1 11.0 %`.
fn error(printed: &str, load: &str, lock: &str, hosts: &str) -> Option<String> {
    let line = format!("{load} {lock} {hosts} ");
    let mut lines = printed.lines().map(|line| {
        let words = line.split_whitespace().filter(|word| !["PASS", "MISS"].contains(word));
        words.collect::<Vec<_>>().join(" ")
    });
    let rest = lines.find_map(|words| words.strip_prefix(&line).map(str::to_owned))?;
    Some(rest.split_once(" %")?.0.to_owned())
}

/// Median errors at 4 threads and more, by lock, load and host.
fn curves(printed: &str) -> String {
    let mut table =
        "| median error, % | both hosts | x86-1 | x86-2 |\n| --- | ---: | ---: | ---: |\n"
            .to_owned();
    for (load, words, limits) in [
        ("held", "200 ns held", ["15", "15", "15", "-"]),
        ("nothing held", "nothing held", ["35", "35", "35", "35"]),
    ] {
        let locks = ["ticket_spinlock", "queued_spinlock", "osq_lock", "swap_mutex"];
        for (lock, limit) in locks.into_iter().zip(limits) {
            let hosts = ["all hosts", "x86-1", "x86-2"].map(|hosts| {
                error(printed, load, lock, hosts)
                    .unwrap_or_else(|| panic!("validate.txt: {load} {lock}"))
            });
            let row = format!("{words}: {lock} ({limit})");
            writeln!(table, "| {row} | {} |", hosts.join(" | ")).expect("a string takes it");
        }
    }
    let within = error(printed, "held", "swap_mutex", "within a package").expect("a line");
    let pooled = error(printed, "all", "all locks, hosts", "pooled").expect("a line");
    table
        + &format!("| 200 ns held: swap_mutex within a package (25) | {within} | | |\n")
        + &format!("| all cells pooled (20) | {pooled} | | |\n")
}

/// What validate.txt says in sentences.
fn pairs(printed: &str) -> Vec<Claim> {
    let after = |words: &str| printed.split_once(words).expect("validate.txt has it").1;
    let until = |text: &str, words: &str| text.split_once(words).expect("it ends").0.to_owned();
    let lost = printed.lines().filter_map(|line| {
        let (_, lost) = line.split_once("threads, predicted ")?.1.split_once(": ")?;
        lost.split_once(" % of the best")?.0.parse::<u32>().ok()
    });
    vec![
        claim(
            "is right in {} pairs, {} % (the target",
            [
                until(after("order of two locks right in "), " pairs"),
                digits(
                    until(after("differ by more than 10 %: "), " %").parse().expect("a number"),
                    0,
                ),
            ],
        ),
        claim(
            "is at most {} % below the best. {} cells have settled",
            [
                lost.max().expect("best thread counts").to_string(),
                until(after("convergence: "), " cells"),
            ],
        ),
    ]
}

/// Pairs of locks that differ by more than 10 % at 4 threads and more on one host under one load: the
/// number of those in the right order, and of all. `panel` begins the name of host and load.
fn ordered(curves: &Section, panel: &str, wanted: impl Fn(&str, &str) -> bool) -> (u32, u32) {
    let ours = |p: &&Point| p.x >= 4.0 && p.panel.starts_with(panel);
    let points: Vec<&Point> = curves.points.iter().filter(ours).collect();
    let (mut right, mut pairs) = (0, 0);
    for (i, a) in points.iter().enumerate() {
        let others = points[i + 1..].iter().filter(|b| b.x == a.x && b.panel == a.panel);
        let others = others.filter(|b| wanted(&a.curve, &b.curve) || wanted(&b.curve, &a.curve));
        for b in others.filter(|b| a.measured.max(b.measured) > 1.1 * a.measured.min(b.measured)) {
            pairs += 1;
            right += u32::from((a.measured > b.measured) == (a.predicted > b.predicted));
        }
    }
    (right, pairs)
}

fn order(curves: &Section, printed: &str) -> Vec<Claim> {
    let right = |panel: &str| {
        let (right, pairs) = ordered(curves, panel, |_, _| true);
        format!("{right} of {pairs}")
    };
    let (right_of_all, pairs) = ordered(curves, "", |_, _| true);
    let swap_ticket = |a: &str, b: &str| a == "swap_mutex" && b == "ticket_spinlock";
    let (right_of_these, these) = ordered(curves, "x86-1", swap_ticket);
    let now = |load: &str, lock: &str, hosts: &str| {
        let error = error(printed, load, lock, hosts).expect("a line of validate.txt");
        digits(error.parse().expect("a number"), 0)
    };
    vec![
        claim(
            "x86-2 alone has {}, and {} with 200 ns held",
            [right("x86-2"), right("x86-2, 200 ns")],
        ),
        claim(
            "ticket on x86-1 ({} of the {} wrong pairs)",
            [(these - right_of_these).to_string(), (pairs - right_of_all).to_string()],
        ),
        claim(
            "0.6, 240 ns, `stay` 6 | {} | {} | {} | {} | {} |",
            [
                right_of_all.to_string(),
                now("held", "queued_spinlock", "x86-1"),
                now("held", "ticket_spinlock", "x86-1"),
                now("nothing held", "swap_mutex", "all hosts"),
                now("all", "all locks, hosts", "pooled"),
            ],
        ),
    ]
}

/// Where the curves are wrong.
fn wrong(curves: &Section) -> Vec<Claim> {
    let points = |panel: &str, lock: &str, threads: std::ops::RangeInclusive<u32>| -> Vec<Point> {
        let panel = panel.to_owned();
        let ours = curves.points.iter().filter(move |p| {
            p.panel.starts_with(&panel) && p.curve == lock && threads.contains(&(p.x as u32))
        });
        ours.cloned().collect()
    };
    // From 19 to 23 %, whether too fast or too slow.
    let off = |points: Vec<Point>| {
        let sizes: Vec<f64> = points.iter().map(|point| point.error().abs() * 100.0).collect();
        span(&sizes, |x| digits(x, 0))
    };
    let (held_1, none_1) = ("x86-1, 200 ns", "x86-1, 0 ns");
    let (held_2, none_2) = ("x86-2, 200 ns", "x86-2, 0 ns");
    let last = 56..=64;
    let ticket = points(held_1, "ticket_spinlock", last.clone());
    let both = [ticket, points(held_1, "osq_lock", last.clone())].concat();
    let swap = points(held_1, "swap_mutex", 12..=12).remove(0);
    vec![
        claim("({} ns at 12 threads on x86-1, as at 8)", [digits(swap.measured, 0)]),
        claim(
            "The model has {} ns there, and is {} % too slow with 16 to 32 threads",
            [digits(swap.predicted, 0), off(points(held_1, "swap_mutex", 16..=32))],
        ),
        claim(
            "(6 and 8, one L3 group) is too fast, by {} % with a section and by {} % with none",
            [
                off(points(held_1, "ticket_spinlock", 6..=8)),
                off(points(none_1, "ticket_spinlock", 6..=8)),
            ],
        ),
        claim(
            "are too slow: by {} % with a section; with none OSQ by {} % and ticket by {} %",
            [
                off(both),
                off(points(none_1, "osq_lock", last.clone())),
                off(points(none_1, "ticket_spinlock", last)),
            ],
        ),
        claim(
            "nothing held** is {} % too slow from 32 threads on (x86-1)",
            [off(points(none_1, "queued_spinlock", 32..=64))],
        ),
        claim(
            "is too fast from 6 threads on, by {} %, with nothing held by {} %; so is test-and-set \
               with a section, by {} % from",
            [
                off(points(held_2, "osq_lock", 6..=64)),
                off(points(none_2, "osq_lock", 6..=64)),
                off(points(held_2, "swap_mutex", 32..=64)),
            ],
        ),
    ]
}

/// The predicted points of a section that `wanted` picks: how many, and `9 % (-25..+14)`.
fn errors(section: &Section, wanted: impl Fn(&Point) -> bool) -> [String; 2] {
    let points = section.points.iter().filter(|p| p.basis == Basis::Predicted && wanted(p));
    let mut errors: Vec<f64> = points.map(|point| point.error() * 100.0).collect();
    errors.sort_by(f64::total_cmp);
    let sizes: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
    let (least, most) = (quantile(&errors, 0.0), quantile(&errors, 1.0));
    let median = digits(median(&sizes), 0);
    [errors.len().to_string(), format!("{median} % ({least:+.0}..{most:+.0})")]
}

fn elsewhere<'a>(section: &impl Fn(&str) -> &'a Section) -> Vec<Claim> {
    let (host, llfree) = (section("host"), section("llfree"));
    let panel = |panel: &'static str| move |point: &Point| point.panel == panel;
    let curve = |curve: &'static str| move |point: &Point| point.curve == curve;
    let [points, error] = errors(host, panel("1 thread"));
    let within =
        host.points.iter().filter(|p| p.panel == "1 thread" && p.basis == Basis::Predicted);
    let within = within.filter(|point| point.error().abs() <= 0.3).count();
    vec![
        claim(
            "every variant and lock, 1 thread | {} | {}, {} within 30 %",
            [points, error, within.to_string()],
        ),
        claim("| the same, 2 threads | {} | {} |", errors(host, panel("2 threads"))),
        claim("test-and-set lock, 1 to 26 threads | {} | {} |", errors(llfree, curve("TAS lock"))),
        claim("| LLFree's CAS list | {} | {} |", errors(llfree, curve("CAS"))),
    ]
}
