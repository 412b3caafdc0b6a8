//! One look for every picture and for the page: colours, markers, dashes, sizes. Guards that a scheme
//! looks the same wherever it is drawn. Nothing else in this crate names a colour.

use results::scheme::{self, HISTORY};

/// A colour as red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rgb(pub u8, pub u8, pub u8);

impl Rgb {
    /// The `#rrggbb` form that CSS takes.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// For text, which needs more contrast than a line of the same colour.
    pub fn darker(self) -> Rgb {
        let dim = |v: u8| (f64::from(v) * 0.78) as u8;
        Rgb(dim(self.0), dim(self.1), dim(self.2))
    }

    /// A tint of the same hue, for another run or a variation.
    pub fn paler(self) -> Rgb {
        let paler = |v: u8| (f64::from(v) * 0.62 + 255.0 * 0.38) as u8;
        Rgb(paler(self.0), paler(self.1), paler(self.2))
    }

    /// So many percent of it, the rest of `ground`.
    fn mixed(self, percent: u8, ground: Rgb) -> Rgb {
        let share = f64::from(percent) / 100.0;
        let mix = |a: u8, b: u8| (f64::from(a) * share + f64::from(b) * (1.0 - share)) as u8;
        Rgb(mix(self.0, ground.0), mix(self.1, ground.1), mix(self.2, ground.2))
    }

    /// The second shade of a part of a stack.
    pub fn pale(self) -> Rgb {
        let pale = |v: u8| v / 2 + 127;
        Rgb(pale(self.0), pale(self.1), pale(self.2))
    }
}

/// The colours of everything that is no data, with their names on the page; page/page.css has the same.
pub const GROUNDS: [(&str, Hue); 5] = [
    ("--paper", hue(0xffffff, 0x14171a)),
    ("--ink", hue(0x1c1c1c, 0xe8eaed)),
    ("--muted", hue(0x5a5a5a, 0xa9b0b7)),
    ("--grid", hue(0xdddddd, 0x343a40)),
    ("--minor", hue(0xf0f0f0, 0x22272b)),
];
pub const PAPER: Rgb = GROUNDS[0].1.light;
pub const INK: Rgb = GROUNDS[1].1.light;
/// Axis names, footers: readable (contrast above 5:1), but behind the data.
pub const MUTED: Rgb = GROUNDS[2].1.light;
pub const GRID: Rgb = GROUNDS[3].1.light;
pub const GRID_MINOR: Rgb = GROUNDS[4].1.light;

/// One colour as two: on white paper, and on the page's dark one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hue {
    pub light: Rgb,
    pub dark: Rgb,
}

const fn hue(light: u32, dark: u32) -> Hue {
    const fn rgb(c: u32) -> Rgb {
        Rgb((c >> 16) as u8, (c >> 8) as u8, c as u8)
    }
    Hue { light: rgb(light), dark: rgb(dark) }
}

/// The hues of schemes. First the kernel's history (`results::scheme::HISTORY`), from amber to navy;
/// then the strawman's; then those of variants that are of no release.
pub const HUES: [Hue; 10] = [
    hue(0xc98500, 0xffc04a),
    hue(0xcf4a1f, 0xff7d55),
    hue(0xb95a9e, 0xe59ad2),
    hue(0x3a9bd9, 0x6fc3ff),
    hue(0x2a5cc0, 0x6f96ff),
    hue(0x0a1f5c, 0xc9d6ff),
    hue(0x6e6e6e, 0xa0a0a0),
    hue(0x00796b, 0x2cc8a0),
    hue(0x7a4a12, 0xc99a5b),
    hue(0x5c8a00, 0xa6d84a),
];

/// The hues of what is no scheme: steps, distances, series of a comparison with published figures.
pub const PARTS: [Hue; 7] = [
    hue(0x4d7c5a, 0x7fbf93),
    hue(0xa9b84a, 0xd3e06a),
    hue(0x8a6d4f, 0xc9a47c),
    hue(0x5b8a99, 0x8fc6d8),
    hue(0xc9a46a, 0xe8cb98),
    hue(0x2f4f4f, 0xa7c9c9),
    hue(0x9fb3a2, 0x6f8873),
];

/// More and less than a base, in heat maps.
pub const MORE: Hue = hue(0x0072b2, 0x4a9fe0);
pub const LESS: Hue = hue(0xd55e00, 0xff8a3d);

/// Every hue with its name on the page.
pub fn named() -> Vec<(String, Hue)> {
    let all = |letter: char, hues: &'static [Hue]| {
        hues.iter().enumerate().map(move |(i, hue)| (format!("--{letter}{i}"), *hue))
    };
    let two = [("--more".to_owned(), MORE), ("--less".to_owned(), LESS)];
    all('h', &HUES).chain(all('p', &PARTS)).chain(two).collect()
}

/// A colour of a picture as the theme has it: a named hue, or so many percent of one on a ground.
#[derive(Debug, Clone, PartialEq)]
pub struct Shade {
    /// Its name on the page.
    pub name: String,
    /// Percent of the hue, and the name of the ground that is the rest.
    pub mixed: Option<(u8, &'static str)>,
    /// The colour on dark paper.
    pub dark: Rgb,
}

/// Where `colour` is from; `None` for what is no colour of the style.
pub fn shade(colour: Rgb) -> Option<Shade> {
    if let Some((name, hue)) = GROUNDS.iter().find(|(_, hue)| hue.light == colour) {
        return Some(Shade { name: (*name).to_owned(), mixed: None, dark: hue.dark });
    }
    named().into_iter().find_map(|(name, hue)| {
        if hue.light == colour {
            return Some(Shade { name, mixed: None, dark: hue.dark });
        }
        let (_, percent, ground) = mixes(hue.light).into_iter().find(|(c, ..)| *c == colour)?;
        let (ground, on) = GROUNDS[ground];
        let dark = hue.dark.mixed(percent, on.dark);
        Some(Shade { name, mixed: Some((percent, ground)), dark })
    })
}

/// The tints and shades of a hue that charts use, each with its share of the hue and the place of the
/// rest in [`GROUNDS`].
fn mixes(light: Rgb) -> [(Rgb, u8, usize); 6] {
    let (paper, ink) = (0, 1);
    [
        (light.darker(), 80, ink),
        (light.pale(), 50, paper),
        (light.paler(), 62, paper),
        (light.paler().paler(), 38, paper),
        (light.paler().darker(), 55, ink),
        (light.paler().paler().darker(), 40, ink),
    ]
}

/// The colour of the `index`-th part of a stacked bar; the second seven are pale.
pub fn part(index: usize) -> Rgb {
    let colour = PARTS[index % PARTS.len()].light;
    if index < PARTS.len() { colour } else { colour.pale() }
}

/// The ground of a cell that is `ratio` times its base: a colour, and how opaque it is. Nothing at 1,
/// all of it at 4 and more or a quarter and less.
pub fn diverging(ratio: f64) -> (Rgb, f64) {
    let far = (ratio.max(f64::MIN_POSITIVE).log2() / 2.0).clamp(-1.0, 1.0);
    (if far < 0.0 { LESS.light } else { MORE.light }, far.abs())
}

/// The shape drawn at a data point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    Down,
}

const MARKERS: [Marker; 5] =
    [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond, Marker::Down];

/// Lengths of stroke and gap in turn; empty is a solid line.
pub type Dash = &'static [f64];

const DASHES: [Dash; 4] = [&[], &[9.0, 4.0], &[3.0, 3.0], &[9.0, 3.0, 2.0, 3.0]];

/// The marks that distinguish one series from another without relying on colour alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    pub colour: Rgb,
    pub marker: Marker,
    pub dash: Dash,
}

/// The look of the `index`-th series of what is no scheme; the first 140 differ.
pub fn look(index: usize) -> Look {
    Look {
        colour: PARTS[index % PARTS.len()].light,
        marker: MARKERS[index % MARKERS.len()],
        dash: DASHES[index % DASHES.len()],
    }
}

/// Locks in the order of their dashes, where a chart shows a scheme under several.
const LOCKS: [&str; 4] = ["qspin", "tas", "ticket", "mcs"];

/// The look of a variant in every chart: its hue is its place in the kernel's history, a variation has
/// the pale hue of its scheme, and one of no release the `stranger`-th of the rest. The lock is the dash
/// where `lock` says that it tells tracks apart, and the second and later of several runs are paler.
pub fn of_variant(variant: &str, stranger: usize, lock: Option<&str>, run: usize) -> Look {
    let spare = || HISTORY.len() + 1 + stranger % (HUES.len() - HISTORY.len() - 1);
    let (hue, pale, turn) = match (scheme::place(variant), scheme::variation_of(variant)) {
        (Some(place), _) => (place, false, 0),
        (None, Some(_)) if variant == scheme::STRAWMAN => (HISTORY.len(), false, 3),
        // Two variations of a scheme differ in their marks: by the words of their names.
        (None, Some(of)) => {
            let words = variant.matches('-').count();
            (scheme::place(of).expect("a scheme of the history"), true, 1 + words)
        }
        (None, None) => (spare(), false, 1 + stranger),
    };
    let pale = usize::from(pale) + run;
    let colour = (0..pale.min(2)).fold(HUES[hue].light, |colour, _| colour.paler());
    let dash = lock.map_or(0, |lock| LOCKS.iter().position(|known| *known == lock).unwrap_or(0));
    let marker = MARKERS[(hue + turn + run) % MARKERS.len()];
    Look { colour, marker, dash: DASHES[dash] }
}

/// The size of a picture, and how large its text is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// Appended to the file name; empty for the README's size.
    pub suffix: &'static str,
    pub width: f64,
    pub height: f64,
    /// Multiplies text, strokes and margins.
    pub zoom: f64,
}

/// Shown at the column width of a README or an archive page.
pub const README: Size = Size { suffix: "", width: 900.0, height: 560.0, zoom: 1.0 };
/// Fills a 16:9 slide.
pub const SLIDE: Size = Size { suffix: "-slide", width: 1600.0, height: 900.0, zoom: 1.62 };

/// Text sizes in pixels before [`Size::zoom`].
pub mod text {
    pub const TITLE: f64 = 23.0;
    pub const SUBTITLE: f64 = 16.0;
    pub const LABEL: f64 = 16.0;
    pub const TICK: f64 = 15.0;
    pub const SMALL: f64 = 12.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_differ() {
        let all: Vec<Look> = (0..140).map(look).collect();
        for (i, a) in all.iter().enumerate() {
            assert!(!all[i + 1..].contains(a), "look {i} occurs twice");
        }
    }

    /// By the model of Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of
    /// Color Vision Deficiency" (2009), at full severity; distances are CIE 1976's.
    #[test]
    fn neighbours_in_history_differ_for_every_eye() {
        const EYES: [[[f64; 3]; 3]; 3] = [
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            [
                [0.152286, 1.052583, -0.204868],
                [0.114503, 0.786281, 0.099216],
                [-0.003882, -0.048116, 1.051998],
            ],
            [
                [0.367322, 0.860646, -0.227968],
                [0.280085, 0.672501, 0.047413],
                [-0.011820, 0.042940, 0.968881],
            ],
        ];
        const XYZ: [[f64; 3]; 3] =
            [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]];
        let times =
            |m: [[f64; 3]; 3], v: [f64; 3]| m.map(|row| (0..3).map(|i| row[i] * v[i]).sum());
        let lab = |c: Rgb, eye| -> [f64; 3] {
            let linear = [c.0, c.1, c.2].map(|v| (f64::from(v) / 255.0).powf(2.2));
            let seen: [f64; 3] = times(eye, linear);
            let [x, y, z]: [f64; 3] = times(XYZ, seen.map(|v| v.clamp(0.0, 1.0)));
            let [x, y, z] = [x / 0.9505, y, z / 1.089].map(f64::cbrt);
            [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
        };
        for (eye, of) in EYES.iter().flat_map(|eye| [(eye, 0), (eye, 1)]) {
            let history =
                HUES[..HISTORY.len()].iter().map(|h| if of == 0 { h.light } else { h.dark });
            let all: Vec<[f64; 3]> = history.map(|colour| lab(colour, *eye)).collect();
            for pair in all.windows(2) {
                let far: f64 = pair[0].iter().zip(pair[1]).map(|(a, b)| (a - b).powi(2)).sum();
                assert!(far.sqrt() > 12.0, "{pair:?}");
            }
        }
    }

    #[test]
    fn a_scheme_looks_the_same_whatever_is_beside_it() {
        let alone = |name| of_variant(name, 0, None, 0);
        let history: Vec<Look> = HISTORY.iter().map(|(name, _)| alone(name)).collect();
        for (i, look) in history.iter().enumerate() {
            assert_eq!(look.colour, HUES[i].light);
            assert!(!history[i + 1..].contains(look));
        }
        assert_eq!(alone("scanning-ref").colour, alone("scanning").colour.paler());
        assert_ne!(alone("percluster-rcu"), alone("percluster-second-ref"));
        let (first, second) = (of_variant("mine", 0, None, 0), of_variant("yours", 1, None, 0));
        assert!(first.colour != second.colour && first.marker != second.marker);
        let under = |lock| of_variant("scanning", 0, Some(lock), 0);
        assert_ne!(under("tas").dash, under("mcs").dash);
        assert_ne!(of_variant("scanning", 0, None, 1).colour, alone("scanning").colour);
    }

    /// The page's sheet is not made from this file, so it is held against it.
    #[test]
    fn grounds_are_those_of_the_page() {
        let sheet = include_str!("page/page.css");
        for (name, hue) in GROUNDS {
            for colour in [hue.light, hue.dark] {
                let line = format!("{name}: {};", colour.hex());
                assert!(sheet.contains(&line), "page.css lacks {line}");
            }
        }
    }

    #[test]
    fn every_tint_of_a_hue_has_a_dark_one() {
        for (_, hue) in named() {
            let light = hue.light;
            for tint in [light, light.darker(), light.pale(), light.paler().paler().darker()] {
                assert!(shade(tint).is_some(), "{tint:?} of {hue:?}");
            }
        }
        assert_eq!(shade(INK).unwrap().dark, GROUNDS[1].1.dark);
        assert_eq!(shade(Rgb(1, 2, 3)), None);
    }

    #[test]
    fn twice_is_as_far_from_equal_as_half() {
        assert_eq!(diverging(1.0).1, 0.0);
        assert_eq!((diverging(2.0), diverging(0.5)), ((MORE.light, 0.5), (LESS.light, 0.5)));
        assert_eq!((diverging(100.0).1, diverging(0.0).1), (1.0, 1.0));
    }

    #[test]
    fn neighbours_differ_without_colour() {
        for i in 0..140 {
            let (a, b) = (look(i), look(i + 1));
            assert_ne!(a.marker, b.marker);
            assert_ne!(a.dash, b.dash);
        }
    }
}
