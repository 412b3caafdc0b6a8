//! From a value to a pixel: axis ranges that come from the data, with their ticks.
//! A point outside its axis is a defect here (plotters would draw it on the border,
//! as if it were real), so [`Axis::at`] refuses it.

/// How values are spread over an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    Linear,
    Log2,
    Log10,
    /// A quantile in 0..1, spread by the number of nines: 90 %, 99 %, 99.9 % equally far apart.
    Nines,
}

impl Scale {
    fn map(self, v: f64) -> f64 {
        match self {
            Scale::Linear => v,
            Scale::Log2 => v.log2(),
            Scale::Log10 => v.log10(),
            Scale::Nines => -(1.0 - v).log10(),
        }
    }
}

/// A mark on an axis; only labelled ones carry text.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    pub value: f64,
    pub label: Option<String>,
}

/// One axis: a range of values, how they are spread, and what the marks say.
#[derive(Debug, Clone)]
pub struct Axis {
    pub name: String,
    scale: Scale,
    lo: f64,
    hi: f64,
    ticks: Vec<Tick>,
}

impl Axis {
    /// A linear axis from zero to a little above the largest of `values`.
    pub fn from_zero(name: &str, values: &[f64], format: fn(f64) -> String) -> Axis {
        let (bottom, top) = extent(values);
        let hi = if top > 0.0 { top * 1.05 } else { 1.0 };
        // Nothing here is below zero; a value that is, is shown where it is.
        let lo = bottom.min(0.0) * 1.05;
        Axis::span(name, lo, hi, format)
    }

    /// A decimal logarithmic axis around `values`; a linear one where they are not all positive.
    pub fn log10(name: &str, values: &[f64], format: fn(f64) -> String) -> Axis {
        let (min, max) = extent(values);
        if min < LEAST {
            return Axis::from_zero(name, values, format);
        }
        let (lo, hi) = (min / 1.15, max * 1.15);
        let steps: Vec<f64> = (lo.log10().floor() as i32..=hi.log10().ceil() as i32)
            .flat_map(|e| (1..10).map(move |m| f64::from(m) * 10f64.powi(e)))
            .collect();
        let below = steps.iter().copied().filter(|s| *s <= lo).fold(steps[0], f64::max);
        let lo = if lo < 1.3 * below { below } else { lo };
        let decades = (hi / lo).log10();
        let ticks = steps
            .into_iter()
            .filter(|v| (lo * 0.999..=hi * 1.001).contains(v))
            .map(|v| Tick { value: v, label: labelled(v, decades).then(|| format(v)) })
            .collect();
        Axis { name: name.into(), scale: Scale::Log10, lo: lo * 0.999, hi: hi * 1.001, ticks }
    }

    /// A binary logarithmic axis for counts such as threads. Its marks are the values themselves, so that
    /// no mark stands where nothing was run; powers of two where they are many.
    pub fn log2(name: &str, values: &[f64]) -> Axis {
        let (min, max) = extent(values);
        if min < LEAST {
            return Axis::from_zero(name, values, short);
        }
        let mut marks: Vec<f64> = values.iter().filter_map(|v| sane(*v)).collect();
        marks.sort_by(f64::total_cmp);
        marks.dedup();
        if marks.len() > MOST_MARKS {
            let powers =
                (min.log2().ceil() as i32..=max.log2().floor() as i32).map(|e| 2f64.powi(e));
            marks = powers.chain([max]).collect();
            marks.dedup();
        }
        let ticks = marks.into_iter().map(|v| Tick { value: v, label: Some(short(v)) }).collect();
        let pad = if max > min { (max / min).powf(0.02) } else { 1.3 };
        Axis { name: name.into(), scale: Scale::Log2, lo: min / pad, hi: max * pad, ticks }
    }

    /// Quantiles from 0 to the largest of `values`, on a scale of nines.
    pub fn nines(name: &str, values: &[f64]) -> Axis {
        // The maximum (quantile 1) lies at infinity.
        let max = extent(values).1.clamp(0.0, 0.999_999_9);
        let marks = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999];
        let ticks = marks
            .into_iter()
            .filter(|m| *m <= max)
            .map(|v| Tick { value: v, label: Some(percent(v)) })
            .collect();
        let hi = 1.0 - 10f64.powf(-(Scale::Nines.map(max) + 0.08));
        Axis { name: name.into(), scale: Scale::Nines, lo: 0.0, hi, ticks }
    }

    /// A linear axis over exactly `lo..hi`, marked with round values inside.
    pub fn span(name: &str, lo: f64, hi: f64, format: fn(f64) -> String) -> Axis {
        let (lo, hi) = extent(&[lo, hi]);
        // As many digits as a float can tell apart.
        let hi = if hi - lo > lo.abs() * 1e-9 { hi } else { lo + 1.0f64.max(lo.abs() * 1e-6) };
        let step = round_step((hi - lo) / 6.0);
        let first = (lo / step).ceil() as i64;
        let last = (hi / step).floor() as i64;
        let ticks = (first..=last)
            .map(|i| i as f64 * step)
            .map(|v| Tick { value: v, label: Some(format(v)) })
            .collect();
        Axis { name: name.into(), scale: Scale::Linear, lo, hi, ticks }
    }

    /// A linear axis over `lo..hi` without marks, for positions that are not values.
    pub fn bare(name: &str, lo: f64, hi: f64) -> Axis {
        Axis { name: name.into(), scale: Scale::Linear, lo, hi, ticks: Vec::new() }
    }

    /// Where `v` lies on the axis, 0 at its start and 1 at its end. What is no number, or larger than
    /// any quantity, lies at the end.
    ///
    /// # Panics
    /// When `v` is outside the axis: the range was not derived from the data.
    pub fn at(&self, v: f64) -> f64 {
        let v = sane(v).unwrap_or(self.hi);
        assert!(
            v >= self.lo && v <= self.hi,
            "{v} is outside the axis {:?} ({}..{})",
            self.name,
            self.lo,
            self.hi
        );
        let (lo, hi) = (self.scale.map(self.lo), self.scale.map(self.hi));
        (self.scale.map(v) - lo) / (hi - lo)
    }

    pub fn ticks(&self) -> &[Tick] {
        &self.ticks
    }
}

/// Beyond this a number is absurd for any quantity here, and its square is no float.
const MOST: f64 = 1e100;
/// Marks of an axis of counts.
const MOST_MARKS: usize = 16;
/// The smallest that a logarithmic axis shows.
const LEAST: f64 = 1e-100;

/// `v` within what an axis can show; `None` for what is no number.
fn sane(v: f64) -> Option<f64> {
    (!v.is_nan()).then(|| v.clamp(-MOST, MOST))
}

/// The least and the largest of `values`; 0 and 1 where there is none.
fn extent(values: &[f64]) -> (f64, f64) {
    let sane = values.iter().filter_map(|v| sane(*v));
    match sane.fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v), hi.max(v))) {
        (lo, hi) if lo > hi => (0.0, 1.0),
        extent => extent,
    }
}

/// Whether a mark of a logarithmic axis carries text: decades always, then 2 and 5, then 3 and 7,
/// then all.
fn labelled(v: f64, decades: f64) -> bool {
    let m = (v / 10f64.powf((v * 1.0001).log10().floor())).round() as u32;
    match m {
        1 => true,
        2 | 5 => decades < 2.6,
        3 | 7 => decades < 1.0,
        _ => decades < 0.5,
    }
}

/// The smallest of 1, 2, 2.5, 5 times a power of ten that is at least `v`.
fn round_step(v: f64) -> f64 {
    let power = 10f64.powf(v.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= v * 0.999).unwrap()
}

/// `0.999` as `99.9%`.
pub fn percent(q: f64) -> String {
    let text = format!("{:.4}", q * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A share as a percentage of two digits; what is rare is not 0.
pub fn rare(share: f64) -> String {
    if share > 0.0 && share < 0.001 {
        "<0.1%".into()
    } else {
        format!("{}%", short_to(share * 100.0, 1))
    }
}

/// A plain number with an SI prefix: `1.5M`, `200k`, `0.25`.
pub fn si(v: f64) -> String {
    let (scaled, prefix) = match v.abs() {
        a if a >= 0.9999e9 => (v / 1e9, "G"),
        a if a >= 0.9999e6 => (v / 1e6, "M"),
        a if a >= 0.9999e3 => (v / 1e3, "k"),
        _ => (v, ""),
    };
    format!("{}{prefix}", short(scaled))
}

/// Nanoseconds with the unit a reader expects: `250 ns`, `1.5 µs`, `20 ms`.
pub fn time(ns: f64) -> String {
    let (scaled, unit) = match ns.abs() {
        a if a >= 0.9999e9 => (ns / 1e9, "s"),
        a if a >= 0.9999e6 => (ns / 1e6, "ms"),
        a if a >= 0.9999e3 => (ns / 1e3, "µs"),
        _ => (ns, "ns"),
    };
    match ns {
        0.0 => "0".into(),
        n if n > 0.0 && n < 0.1 => "<0.1 ns".into(),
        _ => format!("{} {unit}", short(scaled)),
    }
}

/// Three significant digits at most, no trailing zeros.
pub fn short(v: f64) -> String {
    short_to(v, 2)
}

fn short_to(v: f64, after_first: i32) -> String {
    if v.abs() >= 1e9 {
        return format!("{v:.1e}");
    }
    let digits = match v.abs() {
        0.0 => 0,
        a => (after_first - a.log10().floor() as i32).clamp(0, 6) as usize,
    };
    let text = format!("{v:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_the_data() {
        for values in [[3.0, 7.0], [1e-3, 5e9], [41.0, 41.0], [1.0, 384.0]] {
            for axis in [
                Axis::from_zero("x", &values, si),
                Axis::log10("x", &values, si),
                Axis::log2("x", &values.map(|v: f64| v.clamp(1.0, 384.0))),
            ] {
                let values = if axis.scale == Scale::Log2 {
                    values.map(|v| v.clamp(1.0, 384.0))
                } else {
                    values
                };
                for v in values {
                    assert!((0.0..=1.0).contains(&axis.at(v)), "{axis:?} loses {v}");
                }
                for t in axis.ticks() {
                    assert!((0.0..=1.0).contains(&axis.at(t.value)));
                }
                let labels = axis.ticks().iter().filter(|t| t.label.is_some()).count();
                assert!((1..=16).contains(&labels), "{labels} labels on {axis:?}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "outside the axis")]
    fn a_point_outside_is_refused() {
        Axis::from_zero("x", &[1.0, 2.0], si).at(50.0);
    }

    /// Numbers that no measurement gives make an axis that no reader wants, and no panic.
    #[test]
    fn absurd_numbers_have_a_place() {
        let absurd = [
            -5.0,
            0.0,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            f64::NAN,
            f64::INFINITY,
            1e20,
            1e-20,
        ];
        for a in absurd {
            for b in absurd {
                let values = [a, b];
                for axis in [
                    Axis::from_zero("x", &values, si),
                    Axis::log10("x", &values, time),
                    Axis::log2("x", &values),
                    Axis::span("x", a, b, short),
                ] {
                    for v in values {
                        let at = axis.at(v);
                        assert!(
                            (-1e-9..=1.000001).contains(&at),
                            "{v} of {values:?}: {at} on {axis:?}"
                        );
                    }
                    assert!(axis.ticks().len() < 5_000, "{values:?}");
                }
                Axis::nines("x", &values);
            }
        }
        assert!(Axis::from_zero("x", &[], si).at(0.5) > 0.0);
        assert!(si(1.7e308).len() < 12 && time(1e200).len() < 12 && rare(1e300).len() < 12);
    }

    #[test]
    fn counts_have_marks_where_something_was_run() {
        let marks = |values: &[f64]| -> Vec<f64> {
            Axis::log2("threads", values).ticks().iter().map(|tick| tick.value).collect()
        };
        assert_eq!(marks(&[96.0, 1.0, 4.0, 4.0, 384.0]), [1.0, 4.0, 96.0, 384.0]);
        let many: Vec<f64> = (1..=40).map(f64::from).collect();
        assert_eq!(marks(&many), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 40.0]);
    }

    #[test]
    fn nines_are_equally_far_apart() {
        let axis = Axis::nines("percentile", &[0.5, 0.9999]);
        let gap = axis.at(0.99) - axis.at(0.9);
        assert!((axis.at(0.999) - axis.at(0.99) - gap).abs() < 1e-9);
        assert_eq!(axis.ticks().last().unwrap().label.as_deref(), Some("99.99%"));
    }

    #[test]
    fn a_long_logarithmic_axis_has_minor_ticks() {
        let axis = Axis::log10("x", &[1.0, 1e5], si);
        let bare = axis.ticks().iter().filter(|t| t.label.is_none()).count();
        assert!(bare > 30, "{bare} minor ticks");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(si(1_500_000.0), "1.5M");
        assert_eq!(si(200_000.0), "200k");
        assert_eq!(si(0.25), "0.25");
        assert_eq!(time(250.0), "250 ns");
        assert_eq!(time(1_500.0), "1.5 µs");
        assert_eq!(short(0.0), "0");
        assert_eq!(short(12_345.6), "12346");
        assert_eq!(percent(0.999), "99.9%");
        assert_eq!(rare(0.0361), "3.6%");
        assert_eq!(rare(0.00002), "<0.1%");
        assert_eq!(time(0.02), "<0.1 ns");
    }
}
