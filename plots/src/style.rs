//! One look for every picture and for the page: colours, markers, dashes, sizes.
//! Nothing else in this crate names a colour.

/// A colour as red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    /// The second shade of a part of a stack.
    pub fn pale(self) -> Rgb {
        let pale = |v: u8| v / 2 + 127;
        Rgb(pale(self.0), pale(self.1), pale(self.2))
    }
}

pub const PAPER: Rgb = Rgb(255, 255, 255);
pub const INK: Rgb = Rgb(0x1c, 0x1c, 0x1c);
/// Axis names, footers: readable (contrast above 5:1), but behind the data.
pub const MUTED: Rgb = Rgb(0x5a, 0x5a, 0x5a);
pub const GRID: Rgb = Rgb(0xdd, 0xdd, 0xdd);
pub const GRID_MINOR: Rgb = Rgb(0xf0, 0xf0, 0xf0);

/// Okabe and Ito's colour-blind-safe set, without its yellow (unreadable on white).
pub const COLOURS: [Rgb; 7] = [
    Rgb(0x00, 0x72, 0xb2), // blue
    Rgb(0xd5, 0x5e, 0x00), // vermillion
    Rgb(0x00, 0x9e, 0x73), // bluish green
    Rgb(0xcc, 0x79, 0xa7), // reddish purple
    Rgb(0xe6, 0x9f, 0x00), // orange
    Rgb(0x56, 0xb4, 0xe9), // sky blue
    Rgb(0x40, 0x40, 0x40), // black, softened
];

/// The colour of the `index`-th part of a stacked bar; the second seven are pale.
pub fn part(index: usize) -> Rgb {
    let colour = COLOURS[index % COLOURS.len()];
    if index < COLOURS.len() { colour } else { colour.pale() }
}

/// The same hues for the page's dark mode.
pub const COLOURS_ON_DARK: [Rgb; 7] = [
    Rgb(0x4a, 0x9f, 0xe0),
    Rgb(0xff, 0x8a, 0x3d),
    Rgb(0x2c, 0xc8, 0x9a),
    Rgb(0xe8, 0x9a, 0xc6),
    Rgb(0xf0, 0xb4, 0x29),
    Rgb(0x9f, 0xdc, 0xff),
    Rgb(0xc8, 0xc8, 0xc8),
];

/// The ground of a cell that is `ratio` times its base: a colour, and how opaque it is. Nothing at 1,
/// all of it at 4 and more or a quarter and less.
pub fn diverging(ratio: f64) -> (Rgb, f64) {
    let far = (ratio.max(f64::MIN_POSITIVE).log2() / 2.0).clamp(-1.0, 1.0);
    (COLOURS[usize::from(far < 0.0)], far.abs())
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

/// The look of the `index`-th series; the first 140 differ.
pub fn look(index: usize) -> Look {
    Look {
        colour: COLOURS[index % COLOURS.len()],
        marker: MARKERS[index % MARKERS.len()],
        dash: DASHES[index % DASHES.len()],
    }
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

    #[test]
    fn twice_is_as_far_from_equal_as_half() {
        assert_eq!(diverging(1.0).1, 0.0);
        assert_eq!((diverging(2.0), diverging(0.5)), ((COLOURS[0], 0.5), (COLOURS[1], 0.5)));
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
