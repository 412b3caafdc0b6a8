//! The price file: what a page costs around the swap allocator on a real kernel. Guards that each
//! price carries how it was measured, and that every measured point behind it stands in the file.

use std::collections::BTreeMap;

use results::stats::median;
use serde::{Deserialize, Serialize};

/// A price file. `swapscale run --backing FILE` reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// one line: the kind of device and of pages
    pub title: String,
    /// true where the kernel does the device's I/O within the call (SWP_SYNCHRONOUS_IO)
    pub synchronous: bool,
    /// true where freeing a slot frees a zsmalloc object, under the lock of its size class
    pub zsmalloc: bool,
    /// of a page swapped out
    pub out: Price,
    /// of a page swapped in by a write fault
    #[serde(rename = "in")]
    pub in_: Price,
    /// of a freed slot: the part that `swap_range_free()` takes for the device
    pub free: Price,
    /// the same where slots are freed one by one in random order: what belongs to an object is then in
    /// no cache
    #[serde(rename = "free-scattered")]
    pub free_scattered: Price,
    /// kernel, CPU, date and command, by name
    pub conditions: BTreeMap<String, String>,
    /// every point; none in a file whose prices are stated
    #[serde(default)]
    pub measured: Vec<Measured>,
}

/// A time per page and where it is from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// nanoseconds per page or slot
    pub ns: f64,
    /// the measurement
    pub source: String,
}

/// What is done to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// swapped out by MADV_PAGEOUT
    Out,
    /// swapped in by a write fault
    In,
    /// its slot freed by MADV_DONTNEED
    Free,
}

impl What {
    /// All three.
    pub const ALL: [What; 3] = [What::Out, What::In, What::Free];

    /// How it is done, for a source.
    fn how(self) -> &'static str {
        match self {
            What::Out => "MADV_PAGEOUT",
            What::In => "a write fault, which frees the slot too",
            What::Free => "MADV_DONTNEED of swapped-out pages",
        }
    }
}

/// One measured point: the time per page over its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    pub what: What,
    /// consecutive pages per call, or per group of faults
    pub batch: usize,
    /// processes that do it at the same time, each on a CPU of its own
    pub processes: usize,
    /// median of the runs, ns per page; each run is the mean over its processes
    pub ns: f64,
    pub least: f64,
    pub most: f64,
    pub runs: usize,
}

impl Measured {
    /// The point of runs that took `ns` per page each; `None` without a run.
    pub fn of(what: What, batch: usize, processes: usize, ns: &[f64]) -> Option<Measured> {
        let least = ns.iter().copied().reduce(f64::min)?;
        let most = ns.iter().copied().reduce(f64::max)?;
        Some(Measured {
            what,
            batch,
            processes,
            ns: tenth(median(ns)),
            least: tenth(least),
            most: tenth(most),
            runs: ns.len(),
        })
    }

    /// The point as a price, without a subtraction.
    pub fn price(&self) -> Price {
        let Measured { what, batch, least, most, runs, .. } = self;
        let processes = match self.processes {
            1 => "one process".into(),
            n => format!("{n} processes"),
        };
        let source = format!(
            "measured here: {}, batch {batch}, {processes}, median of {runs} runs, {least:.0} to \
             {most:.0}",
            what.how()
        );
        Price { ns: self.ns, source }
    }

    /// The price of freeing a slot for the device: this point, less that of same-filled pages.
    pub fn free(&self, same_filled: &Measured) -> Price {
        let Measured { ns, least, most, runs, .. } = same_filled;
        let whole = self.price().source;
        let source = format!(
            "{whole}, in all {:.0}; less the same for same-filled pages, {ns:.0} (median of {runs} \
             runs, {least:.0} to {most:.0}), which have no object",
            self.ns
        );
        Price { ns: tenth((self.ns - ns).max(0.0)), source }
    }

    /// The price of freeing the slot of a same-filled page: all of it is the baseline.
    pub fn free_of_nothing(&self) -> Price {
        let source = format!(
            "{}: {:.0} in all, of which nothing can be told apart, since a same-filled page has no \
             object",
            self.price().source,
            self.ns
        );
        Price { ns: 0.0, source }
    }
}

/// Tenths of a nanosecond: no measurement here is finer.
fn tenth(ns: f64) -> f64 {
    (ns * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(what: What, ns: &[f64]) -> Measured {
        Measured::of(what, 512, 1, ns).unwrap()
    }

    fn prices() -> Prices {
        let free = point(What::Free, &[470.0, 480.06, 520.0]);
        Prices {
            title: "zram, lzo-rle: compressible pages".into(),
            synchronous: true,
            zsmalloc: true,
            out: point(What::Out, &[8500.0]).price(),
            in_: point(What::In, &[5800.0]).price(),
            free: free.free(&point(What::Free, &[50.0, 54.0, 58.0])),
            free_scattered: point(What::Free, &[2700.0]).free(&point(What::Free, &[1500.0])),
            conditions: BTreeMap::from([("kernel".into(), "6.18.44".into())]),
            measured: vec![free],
        }
    }

    #[test]
    fn a_price_file_reads_back_and_has_the_keys_of_its_format() {
        let text = toml::to_string(&prices()).unwrap();
        assert_eq!(toml::from_str::<Prices>(&text).unwrap(), prices());
        for key in [
            "[out]",
            "[in]",
            "[free]",
            "[free-scattered]",
            "[conditions]",
            "[[measured]]",
            "what = \"free\"",
        ] {
            assert!(text.contains(key), "no {key}:\n{text}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = toml::to_string(&prices()).unwrap() + "\nspread = 3\n";
        let error = toml::from_str::<Prices>(&text).unwrap_err().to_string();
        assert!(error.contains("spread"), "{error}");
    }

    #[test]
    fn the_price_of_a_free_is_what_same_filled_pages_lack() {
        let free = prices().free;
        assert_eq!(free.ns, 426.1);
        assert!(free.source.contains("470 to 520, in all 480; less"), "{}", free.source);
        assert_eq!(prices().measured[0].free_of_nothing().ns, 0.0);
    }

    #[test]
    fn a_point_without_a_run_is_none() {
        assert_eq!(Measured::of(What::In, 1, 1, &[]), None);
    }
}
