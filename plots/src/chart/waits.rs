//! Waits of each thread for each other at the most contended site of each variant: a matrix, darker
//! where a thread waited longer for another.

use results::schema::{Cell, Site};

use super::{Outcome, Picture};
use crate::axis::{short, time};
use crate::data::{Set, Track, slug};
use crate::frame::Frame;
use crate::scene::Anchor;
use crate::style::{GRID, INK, MUTED, PAPER, Rgb, Size, text};

pub fn draw(set: &Set, size: Size) -> Outcome {
    let pictures: Vec<Picture> = set.tracks.iter().filter_map(|t| of(set, t, size)).collect();
    if pictures.is_empty() {
        let why = set.place.why_no_sites();
        return Err(why.unwrap_or("no wait was seen to be for somebody").into());
    }
    Ok(pictures)
}

/// The matrix of one site, summed over the trials.
struct Matrix {
    site: String,
    ns: Vec<Vec<u64>>,
    looked: u64,
    threads: usize,
}

fn of(set: &Set, track: &Track, size: Size) -> Option<Picture> {
    let matrix = most_waited(&track.widest().cells)?;
    let title = format!("{}: who waited for whom at {}", track.name, matrix.site);
    let rows = matrix.ns.len();
    let together = match matrix.threads.div_ceil(rows) {
        1 => String::new(),
        n => format!(" Each row and column is {n} threads side by side."),
    };
    let note = format!(
        "{} waits looked who held the lock; darker: longer waits, as a share of all.{together}",
        short(matrix.looked as f64)
    );
    let mut frame = Frame::new(size, &set.caption(title, &note));
    grid(&mut frame, &matrix.ns, track.look.colour);
    let part = if set.tracks.len() > 1 { slug(&track.name) } else { String::new() };
    Some(Picture { part, scene: frame.scene })
}

fn most_waited(cells: &[&Cell]) -> Option<Matrix> {
    let seen = |site: &&Site| site.sharing.as_ref().is_some_and(|s| !s.waited_for.is_empty());
    let all: Vec<&Site> = cells.iter().flat_map(|cell| &cell.sites).filter(seen).collect();
    let name = |site: &Site| (site.lock.clone(), site.caller.clone());
    let total = |wanted: &(String, String)| -> u64 {
        let same = all.iter().filter(|site| name(site) == *wanted);
        same.map(|site| site.wait_total_ns).sum()
    };
    let most = all.iter().map(|site| name(site)).max_by_key(&total)?;
    let mut matrix =
        Matrix { site: format!("{} in {}", most.0, most.1), ns: Vec::new(), looked: 0, threads: 0 };
    for sharing in all.iter().filter(|s| name(s) == most).filter_map(|s| s.sharing.as_ref()) {
        matrix.looked += sharing.looked;
        matrix.threads = sharing.per_thread.len();
        if matrix.ns.is_empty() {
            matrix.ns = sharing.waited_for.clone();
        } else {
            let cells = matrix.ns.iter_mut().flatten().zip(sharing.waited_for.iter().flatten());
            cells.for_each(|(sum, ns)| *sum += ns);
        }
    }
    Some(matrix)
}

/// Rows wait, columns hold; a share stands in each field that has room for it.
fn grid(frame: &mut Frame, ns: &[Vec<u64>], colour: Rgb) {
    let n = ns.len();
    let free = frame.free;
    let names = frame.px(76.0);
    let top = free.top + frame.px(44.0);
    let side = ((free.bottom - top) / n as f64).min((free.right - free.left - names) / n as f64);
    let left = free.left + names;
    let most = ns.iter().flatten().copied().max().unwrap_or(0).max(1) as f64;
    let all = ns.iter().flatten().sum::<u64>().max(1) as f64;
    for (row, waits) in ns.iter().enumerate() {
        for (column, wait) in waits.iter().enumerate() {
            let (x, y) = (left + column as f64 * side, top + row as f64 * side);
            let share = *wait as f64 / most;
            let corners = vec![(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)];
            frame.scene.area(corners.clone(), colour, share);
            frame.scene.line(corners, GRID, 1.0, &[]);
            let words = format!("{:.0}%", *wait as f64 / all * 100.0);
            if *wait > 0 && side > frame.px(40.0) {
                let ink = if share > 0.6 { PAPER } else { INK };
                let at = (x + side / 2.0, y + side / 2.0 + frame.px(4.0));
                frame.scene.text(at, words, text::SMALL, ink, Anchor::Middle);
            }
        }
        let number = row.to_string();
        let middle = (row as f64 + 0.5) * side;
        let at = (left - frame.px(8.0), top + middle + frame.px(5.0));
        frame.scene.text(at, &number, text::SMALL, INK, Anchor::End);
        let at = (left + middle, top - frame.px(8.0));
        frame.scene.text(at, &number, text::SMALL, INK, Anchor::Middle);
    }
    let at = (left, top - frame.px(26.0));
    frame.scene.text(at, "thread that held the lock", text::SMALL, MUTED, Anchor::Start);
    let at = (free.left, top + frame.px(14.0));
    frame.scene.text(at, "waited", text::SMALL, MUTED, Anchor::Start);
    let x = left + n as f64 * side + frame.px(18.0);
    let longest = format!("darkest: {} in all", time(most));
    frame.scene.text((x, top + frame.px(14.0)), longest, text::SMALL, INK, Anchor::Start);
}
