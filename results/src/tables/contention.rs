//! The tables of contended lock sites: the waits, as `perf lock contention` prints them, how far
//! the holder was meanwhile, and how the threads took turns.

use super::grid::{Grid, Row, header};
use super::text::{digits, duration};
use crate::aggregate::{WHY_NO_SITES, counts_sites};
use crate::plural;
use crate::report::{Detail, Report};
use crate::schema::{Again, Distance, Sharing, Site, UNSEEN};
use crate::stats::jain;

/// Rows of contended lock sites, at most.
const MAX_SITES: usize = 6;

/// The columns of `perf lock contention`; `None` where no site was watched, and no rows where they
/// were not counted.
pub(super) fn sites(report: &Report, detail: &Detail) -> Option<Grid> {
    let counted = counts_sites(&detail.key);
    if counted && detail.sites.is_empty() {
        return None;
    }
    let contended: Vec<_> = detail.sites.iter().filter(|site| site.contended > 0).collect();
    let row = |site: &&Site| {
        Row::plain(vec![
            site.contended.to_string(),
            duration(site.wait_total_ns as f64),
            duration(site.wait_max_ns as f64),
            duration(site.wait_total_ns as f64 / site.contended as f64),
            site.kind.clone(),
            site.caller.clone(),
            site.lock.clone(),
        ])
    };
    let mut rows: Vec<Row> = contended.iter().take(MAX_SITES).map(row).collect();
    let what = match contended.is_empty() {
        _ if !counted => WHY_NO_SITES,
        true => "no contended lock",
        false => "lock contention",
    };
    let dots = contended.len().saturating_sub(MAX_SITES);
    if dots > 0 {
        rows.push(Row::plain(header(&["snip", "", "", "", "", &format!("{dots} more"), ""])));
    }
    Some(Grid {
        title: String::new(),
        caption: format!(
            "{}{what}: {} at {}, sum of {}{}",
            report.prefix(),
            detail.side,
            detail.point,
            plural(detail.trials, "trial"),
            detail.slow_path.map_or(String::new(), slow_path)
        ),
        header: header(&[
            "contended",
            "total wait",
            "max wait",
            "avg wait",
            "type",
            "caller",
            "lock",
        ]),
        left: 0,
        rows,
    })
}

fn slow_path(share: f64) -> String {
    format!("; devices walked per allocation: {}", digits(share))
}

/// A contended site, and how the threads shared it.
type Shared<'a> = (&'a Site, &'a Sharing);

/// How far the holder was that the waits of the contended sites found, and how the threads took
/// turns.
pub(super) fn sharing(report: &Report, detail: &Detail) -> Vec<Grid> {
    let contended = detail.sites.iter().filter(|site| site.contended > 0);
    let shared: Vec<Shared> = contended
        .filter_map(|site| Some((site, site.sharing.as_ref()?)))
        .filter(|(_, sharing)| sharing.looked > 0)
        .take(MAX_SITES)
        .collect();
    if shared.is_empty() {
        return Vec::new();
    }
    let caption =
        |what: &str| format!("{}{what}: {} at {}", report.prefix(), detail.side, detail.point);
    vec![handover(&shared, caption), turns(&shared, caption)]
}

fn place((site, _): &Shared) -> Vec<String> {
    vec![site.caller.clone(), site.lock.clone()]
}

fn handover(shared: &[Shared], caption: impl Fn(&str) -> String) -> Grid {
    let seen = |far: &&str| shared.iter().any(|(_, s)| s.handover.contains_key(*far));
    let far: Vec<&str> =
        Distance::ALL.map(Distance::name).into_iter().chain([UNSEEN]).filter(seen).collect();
    let row = |shared: &Shared| {
        let (site, s) = shared;
        let n = s.looked as f64;
        let hold = site.hold_total_ns as f64 / site.hold_sampled as f64;
        let mut cells = vec![
            s.looked.to_string(),
            if site.hold_sampled > 0 { duration(hold) } else { "-".into() },
            format!("{:.2}", s.queue_total as f64 / n),
            s.queue_max.to_string(),
        ];
        let share = |far: &&str| *s.handover.get(*far).unwrap_or(&0) as f64 / n;
        cells.extend(far.iter().map(|far| format!("{:.0}%", share(far) * 100.0)));
        Row::plain([cells, place(shared)].concat())
    };
    Grid {
        title: String::new(),
        caption: caption(
            "waits that looked who holds the lock, how long it is held, how many more wait, and \
             how far the holder is",
        ),
        header: header(
            &[&["looked", "hold", "queue", "most"], &far[..], &["caller", "lock"]].concat(),
        ),
        left: 0,
        rows: shared.iter().map(row).collect(),
    }
}

fn turns(shared: &[Shared], caption: impl Fn(&str) -> String) -> Grid {
    let row = |shared: &Shared| {
        let (_, s) = shared;
        let again = |of: fn(&Again) -> u64| {
            s.again.as_ref().map_or("-".into(), |again| duration(of(again) as f64))
        };
        let extremes = s.per_thread.iter().max().zip(s.per_thread.iter().min());
        let most_over_least = match extremes {
            Some((most, least)) if *least > 0 => format!("{:.2}", *most as f64 / *least as f64),
            _ => "-".into(),
        };
        let cells = vec![
            again(|again| again.p50),
            again(|again| again.p99),
            again(|again| again.max),
            format!("{:.3}", jain(&s.per_thread)),
            most_over_least,
            s.lwss.map_or("-".into(), |lwss| format!("{lwss:.1}")),
        ];
        Row::plain([cells, place(shared)].concat())
    };
    Grid {
        title: String::new(),
        caption: caption("time until a thread has the lock again, and the threads' shares"),
        header: header(&["p50", "p99", "max", "Jain", "max/min", "LWSS", "caller", "lock"]),
        left: 0,
        rows: shared.iter().map(row).collect(),
    }
}
