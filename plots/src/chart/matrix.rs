//! Shares of the same rows on several machines, a column of bars for each: what differs between
//! columns can be seen without reading numbers.

use crate::axis::rare;
use crate::frame::{Caption, Frame, fit};
use crate::scene::{Anchor, Scene, text_width};
use crate::style::{GRID, INK, MUTED, Rgb, Size, look, text};

/// A table of shares to be drawn.
#[derive(Debug, Clone)]
pub struct Matrix {
    pub title: String,
    /// Conditions.
    pub subtitle: String,
    pub small_print: Vec<String>,
    pub columns: Vec<String>,
    pub sections: Vec<Section>,
}

/// Rows that share one scale.
#[derive(Debug, Clone)]
pub struct Section {
    pub name: String,
    pub rows: Vec<Row>,
}

/// One label, and a cell for each column.
#[derive(Debug, Clone)]
pub struct Row {
    pub label: String,
    pub cells: Vec<Cell>,
}

/// A share 0..1 with its range, or a word for why there is none.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Share { value: f64, least: f64, most: f64 },
    Word(String),
}

impl Cell {
    fn reach(&self) -> f64 {
        match self {
            Cell::Share { value, most, .. } => value.max(*most),
            Cell::Word(_) => 0.0,
        }
    }
}

pub fn draw(matrix: &Matrix, size: Size) -> Scene {
    let caption = Caption {
        title: matrix.title.clone(),
        subtitle: matrix.subtitle.clone(),
        small_print: matrix.small_print.clone(),
    };
    let mut frame = Frame::new(size, &caption);
    let grid = Grid::of(&frame, matrix);
    for (index, name) in matrix.columns.iter().enumerate() {
        let name = fit(name, frame.px(text::SMALL + 2.0), true, grid.column - frame.px(10.0));
        let at = (grid.left(index), frame.free.top + frame.px(16.0));
        frame.scene.title(at, name, text::SMALL + 2.0, look(index).colour);
    }
    let mut y = frame.free.top + frame.px(26.0);
    for section in &matrix.sections {
        let scale = section.rows.iter().flat_map(|row| &row.cells).map(Cell::reach);
        let scale = scale.fold(f64::MIN_POSITIVE, f64::max);
        let base = y + grid.step * 0.5 + frame.px(5.0);
        frame.scene.title((frame.free.left, base), &section.name, text::SMALL + 2.0, INK);
        y += grid.step;
        for row in &section.rows {
            draw_row(&mut frame, &grid, row, y, scale);
            y += grid.step;
        }
    }
    frame.scene
}

/// Where columns and rows are.
struct Grid {
    labels: f64,
    column: f64,
    step: f64,
    /// Width of the number behind the longest bar, in pixels.
    number: f64,
}

impl Grid {
    fn of(frame: &Frame, matrix: &Matrix) -> Grid {
        let small = frame.px(text::SMALL + 1.0);
        let rows = || matrix.sections.iter().flat_map(|section| &section.rows);
        let widest = rows().map(|row| text_width(&row.label, small, false)).fold(0.0, f64::max);
        let width = frame.free.right - frame.free.left;
        let labels = frame.free.left + widest.min(0.3 * width) + frame.px(14.0);
        let lines = rows().count() + matrix.sections.len();
        let height = frame.free.bottom - frame.free.top - frame.px(26.0);
        Grid {
            labels,
            column: (frame.free.right - labels) / matrix.columns.len().max(1) as f64,
            step: (height / lines.max(1) as f64).min(frame.px(30.0)),
            number: text_width("100.0 %", small, false) + frame.px(16.0),
        }
    }

    fn left(&self, column: usize) -> f64 {
        self.labels + self.column * column as f64
    }
}

fn draw_row(frame: &mut Frame, grid: &Grid, row: &Row, y: f64, scale: f64) {
    let size = (text::SMALL + 1.0).min(grid.step / frame.px(1.0) * 0.8);
    let base = y + grid.step * 0.5 + 0.35 * frame.px(size);
    let width = grid.labels - frame.free.left - frame.px(10.0);
    let label = fit(&row.label, frame.px(size), false, width);
    frame.scene.text((grid.labels - frame.px(10.0), base), label, size, INK, Anchor::End);
    for (index, cell) in row.cells.iter().enumerate() {
        let left = grid.left(index);
        let full = grid.column - grid.number;
        let at = |share: f64| left + full * share / scale;
        frame.scene.line(vec![(left, y), (left, y + grid.step)], GRID, 1.0, &[]);
        let (end, words, colour): (f64, String, Rgb) = match cell {
            Cell::Share { value, least, most } => {
                let (top, bottom) = (y + grid.step * 0.2, y + grid.step * 0.8);
                frame.scene.bar((left, top), (at(*value), bottom), look(index).colour);
                let middle = y + grid.step * 0.5;
                frame.scene.line(vec![(at(*least), middle), (at(*most), middle)], INK, 1.6, &[]);
                (at(value.max(*most)), rare(*value), INK)
            }
            Cell::Word(word) => (left, word.clone(), MUTED),
        };
        frame.scene.text((end + frame.px(6.0), base), words, size, colour, Anchor::Start);
    }
}
