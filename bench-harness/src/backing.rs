//! What swap is backed by, and what the kernel does for a page there: price files. Guards that every
//! price has a source next to it, and that what a file says is measured once is charged once.

use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;
use variants::prices::{LruvecPrices, Prices, TableSleep, XarrayPrices, ZsmallocPrices};

/// The bare allocator: what lies around it is free of charge.
pub const NONE: &str = "none";
/// The bare allocator of a kernel without memory cgroups.
const NO_MEMCG: &str = "no-memcg";
/// The bare allocator where memory is short: one in [`SLEEPS`] allocations of a swap table sleeps, for no
/// time beyond that of a reschedule.
const LOW_MEMORY: &str = "low-memory";
const SLEEPS: u32 = 8;

/// The price files that come with the suite.
const BUILT_IN: [(&str, &str); 6] = [
    ("zram", include_str!("backing/zram.toml")),
    ("zram-same", include_str!("backing/zram-same.toml")),
    ("zram-full", include_str!("backing/zram-full.toml")),
    ("brd", include_str!("backing/brd.toml")),
    ("zswap", include_str!("backing/zswap.toml")),
    ("ssd", include_str!("backing/ssd.toml")),
];

static NEIGHBOURS: LazyLock<NeighbourFile> = LazyLock::new(|| {
    let text = include_str!("backing/neighbours.toml");
    toml::from_str(text).expect("it comes with the program")
});

/// A backing by name, with its prices.
#[derive(Clone, Debug, PartialEq)]
pub struct Backing {
    /// [`NONE`], that of a price file of the suite, or a file's path.
    pub name: String,
    /// What kind of pages on what, in words.
    pub title: String,
    pub prices: Prices,
}

impl Default for Backing {
    fn default() -> Self {
        let title = "the bare allocator".into();
        Self { name: NONE.into(), title, prices: Prices::default() }
    }
}

impl fmt::Display for Backing {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A price with its source.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Price<'a> {
    ns: f64,
    source: &'a str,
}

/// What a page costs as a whole, as `swapscale calibrate --kernel` measures it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File<'a> {
    title: String,
    synchronous: bool,
    zsmalloc: bool,
    /// Of a kernel with memory cgroups.
    #[serde(default = "yes")]
    memcg: bool,
    /// Memory is short.
    #[serde(borrow)]
    table_sleep: Option<Sleep<'a>>,
    #[serde(borrow)]
    out: Price<'a>,
    r#in: Price<'a>,
    free: Price<'a>,
    free_scattered: Price<'a>,
    /// For the reader; what the prices were taken from.
    #[serde(default, rename = "conditions")]
    _conditions: toml::Table,
    #[serde(default, rename = "measured")]
    _measured: Vec<toml::Table>,
}

/// One in `every` allocations of a swap table sleeps.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sleep<'a> {
    every: u32,
    ns: f64,
    source: &'a str,
}

fn yes() -> bool {
    true
}

/// The sections of the kernel's other locks: the same on every backing that has them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct NeighbourFile {
    xa_add: Section,
    xa_remove: Section,
    xa_shadow: Section,
    list_lru: Section,
    zs_malloc: Section,
    zs_free: Section,
    lru_isolate: Section,
    lru_add: Section,
    swap_cgroup: Section,
    size_classes: Classes,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    ns: u64,
    #[serde(rename = "source")]
    _source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Classes {
    count: usize,
    #[serde(rename = "source")]
    _source: String,
}

impl Backing {
    /// The names that need no file.
    pub fn names() -> impl Iterator<Item = &'static str> {
        [NONE, NO_MEMCG, LOW_MEMORY].into_iter().chain(BUILT_IN.iter().map(|(name, _)| *name))
    }

    /// The backing called `name`, or that of the price file at this path.
    ///
    /// # Errors
    ///
    /// A line that names the file and the key, and says what was expected.
    pub fn load(name: &str) -> Result<Self, String> {
        let bare = |but: &str, prices| {
            let title = format!("the bare allocator{but}");
            Ok(Self { name: name.into(), title, prices })
        };
        match name {
            NONE => return bare("", Prices::default()),
            NO_MEMCG => {
                let prices = Prices { memcg_off: true, ..Prices::default() };
                return bare(", without memory cgroups", prices);
            }
            LOW_MEMORY => {
                let table_sleep = Some(TableSleep { every: SLEEPS, ns: 0 });
                let but = format!("; 1 in {SLEEPS} allocations of a swap table sleeps");
                return bare(&but, Prices { table_sleep, ..Prices::default() });
            }
            _ => {}
        }
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(name, text);
        }
        if !name.ends_with(".toml") {
            let known = Self::names().collect::<Vec<_>>().join(", ");
            return Err(format!(
                "backing '{name}': expected one of {known}, or a .toml file of `swapscale \
                 calibrate --kernel`"
            ));
        }
        let text = std::fs::read_to_string(name).map_err(|error| format!("{name}: {error}"))?;
        Self::parse(name, &text)
    }

    /// Name, title and what a page costs, on one line.
    pub fn words(&self) -> String {
        let Prices { out_ns, in_ns, free_ns, free_scattered_ns, zsmalloc, lruvec, .. } =
            &self.prices;
        let (malloc, object) = zsmalloc.map_or((0, 0), |z| (z.malloc_ns, z.free_ns));
        let free = free_ns + object;
        format!(
            "backing {}: {}; {} ns a page out, {} in, {} a slot freed behind the last one, {} \
             elsewhere; the sections of other locks are among them, but for those of kernels until \
             6.17",
            self.name,
            self.title,
            out_ns + malloc + lruvec.isolate_ns,
            in_ns + lruvec.add_ns + free,
            free,
            free_scattered_ns + object
        )
    }

    /// The backing of a price file's `text`; `name` is for messages and for the reader.
    ///
    /// # Errors
    ///
    /// As [`Backing::load`].
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| {
            format!("{name}: {}", error.to_string().trim_end().replace('\n', "; "))
        })?;
        let sleep = file.table_sleep.map(|Sleep { every, ns, source }| {
            let expected = "table-sleep.every: expected 1 or more: one in so many sleeps";
            if every > 0 { Ok(Price { ns, source }) } else { Err(format!("{name}: {expected}")) }
        });
        let sleep = sleep.transpose()?.map(|price| ("table-sleep", price));
        let prices = [
            ("out", file.out),
            ("in", file.r#in),
            ("free", file.free),
            ("free-scattered", file.free_scattered),
        ];
        for (key, price) in prices.into_iter().chain(sleep) {
            if !(0.0..=1e9).contains(&price.ns) {
                return Err(format!("{name}: {key}.ns: expected 0 to 1e9, not {}", price.ns));
            }
            if price.source.trim().is_empty() {
                return Err(format!("{name}: {key}.source: expected where the price is from"));
            }
        }
        Ok(Self { name: name.into(), title: file.title.clone(), prices: file.prices() })
    }
}

impl File<'_> {
    /// The sections of other locks are part of what was measured, except for the XArray's: the
    /// kernels that could be measured have none.
    fn prices(&self) -> Prices {
        let all = &*NEIGHBOURS;
        let zsmalloc = self.zsmalloc.then_some(ZsmallocPrices {
            classes: all.size_classes.count,
            malloc_ns: all.zs_malloc.ns,
            free_ns: all.zs_free.ns,
        });
        let (malloc, free) = zsmalloc.map_or((0, 0), |z| (z.malloc_ns, z.free_ns));
        let rest = |price: Price, inside: u64| (price.ns.round() as u64).saturating_sub(inside);
        Prices {
            out_ns: rest(self.out, malloc + all.lru_isolate.ns),
            // The fault was measured with its end, in which the slot is freed.
            in_ns: rest(self.r#in, all.lru_add.ns + self.free.ns.round() as u64),
            free_ns: rest(self.free, free),
            free_scattered_ns: rest(self.free_scattered, free),
            faults_in_cache: !self.synchronous,
            xarray: Some(XarrayPrices {
                add_ns: all.xa_add.ns,
                remove_ns: all.xa_remove.ns,
                shadow_ns: all.xa_shadow.ns,
                list_lru_ns: all.list_lru.ns,
            }),
            zsmalloc,
            lruvec: LruvecPrices { isolate_ns: all.lru_isolate.ns, add_ns: all.lru_add.ns },
            swap_cgroup_ns: Some(all.swap_cgroup.ns),
            memcg_off: !self.memcg,
            table_sleep: self
                .table_sleep
                .map(|sleep| TableSleep { every: sleep.every, ns: sleep.ns.round() as u64 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "title = 't'\nsynchronous = true\nzsmalloc = true\n\
        [out]\nns = 8500.4\nsource = 's'\n[in]\nns = 5800\nsource = 's'\n[free]\nns = 430\nsource = 's'\n\
        [free-scattered]\nns = 1200\nsource = 's'\n";

    #[test]
    fn every_backing_of_the_suite_is_one() {
        for name in Backing::names() {
            let backing = Backing::load(name).unwrap();
            assert_eq!(backing.prices == Prices::default(), name == NONE, "{name}");
        }
    }

    /// What is inside another lock is not charged outside of it again.
    #[test]
    fn a_whole_page_costs_what_was_measured() {
        let prices = Backing::parse("mine.toml", GOOD).unwrap().prices;
        let (zsmalloc, lruvec) = (prices.zsmalloc.unwrap(), prices.lruvec);
        assert_eq!(prices.out_ns + zsmalloc.malloc_ns + lruvec.isolate_ns, 8500);
        let free = prices.free_ns + zsmalloc.free_ns;
        assert_eq!((prices.in_ns + lruvec.add_ns + free, free), (5800, 430));
        assert_eq!(prices.free_scattered_ns + zsmalloc.free_ns, 1200);
    }

    #[test]
    fn a_wrong_file_is_refused_in_one_line() {
        let wrong = |from: &str, to: &str| {
            let error = Backing::parse("mine.toml", &GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(error.starts_with("mine.toml: ") && !error.contains('\n'), "{error}");
            error
        };
        assert!(wrong("ns = 430", "ns = -1").contains("free.ns: expected 0 to 1e9"));
        assert!(wrong("source = 's'", "source = ' '").contains("out.source"));
        assert!(wrong("zsmalloc", "zmalloc").contains("zmalloc"));
        assert!(wrong("[in]\nns = 5800\nsource = 's'\n", "").contains("`in`"));
        let sleep = "[table-sleep]\nevery = 0\nns = 1\nsource = 's'\n[in]";
        assert!(wrong("[in]", sleep).contains("table-sleep.every: expected 1 or more"));
        let sleep = sleep.replace("every = 0", "every = 2").replace("ns = 1", "ns = -1");
        assert!(wrong("[in]", &sleep).contains("table-sleep.ns: expected 0 to 1e9"));
        assert!(Backing::load("tape").unwrap_err().contains("zram-same, zram-full"));
        assert!(Backing::load("/nowhere.toml").unwrap_err().starts_with("/nowhere.toml: "));
    }
}
