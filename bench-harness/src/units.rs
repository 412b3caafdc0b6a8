//! The values options have: thread counts, sizes, time budgets, mixes of orders. Each is parsed
//! from what a user writes and shown so that it parses back to itself.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use machine::simulated::Preemption;

/// Bytes of a page, and of the slot that holds it.
pub const PAGE: u64 = 4096;
/// Slots of a cluster.
pub const CLUSTER: u64 = variants::SWAPFILE_CLUSTER as u64;
/// Orders of an allocation: up to PMD_ORDER.
pub const ORDERS: usize = 10;

/// A number of workers, or the powers of two up to all CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    Auto,
    Count(usize),
}

impl FromStr for Threads {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(count @ 1..) => Ok(Threads::Count(count)),
            _ if text == "auto" => Ok(Threads::Auto),
            _ => Err("expected numbers of threads from 1, or auto".into()),
        }
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Threads::Auto => f.write_str("auto"),
            Threads::Count(count) => count.fmt(f),
        }
    }
}

impl Threads {
    /// 1, 2, 4 .. and `cpus` itself.
    pub fn expand(self, cpus: usize) -> Vec<usize> {
        match self {
            Threads::Count(count) => vec![count],
            Threads::Auto => {
                let powers = (0..).map(|n| 1 << n).take_while(|n| *n < cpus);
                powers.chain([cpus]).collect()
            }
        }
    }
}

/// The size of a swap device: whole clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    bytes: u64,
}

const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl Size {
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    pub fn slots(self) -> usize {
        (self.bytes / PAGE) as usize
    }

    pub const fn mib(mib: u64) -> Self {
        Self { bytes: mib << 20 }
    }
}

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a multiple of 2MiB below 16384GiB, such as 64MiB or 10GiB";
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
        let (number, unit) = text.split_at(split);
        // A MB is a million bytes, and no number of them that anybody means is whole clusters.
        if UNITS.iter().any(|(name, _)| unit.eq_ignore_ascii_case(&name.replace('i', ""))) {
            return Err(format!("'{unit}' is a power of 1000; {}", expected()));
        }
        // `G` and `GiB` are the same to the tools that make swap files.
        let unit = UNITS
            .iter()
            .find(|(name, _)| [&name[..1], name].iter().any(|n| unit.eq_ignore_ascii_case(n)));
        let bytes = unit.and_then(|(_, unit)| number.parse::<u64>().ok()?.checked_mul(*unit));
        match bytes {
            Some(bytes) if bytes > 0 && bytes.is_multiple_of(CLUSTER * PAGE) && bytes < 1 << 44 => {
                Ok(Self { bytes })
            }
            _ => Err(expected().into()),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (name, unit) = UNITS.iter().find(|(_, unit)| self.bytes.is_multiple_of(*unit)).unwrap();
        write!(f, "{}{name}", self.bytes / unit)
    }
}

/// The share or the amount of a device that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Percent of the device.
    Percent(u32),
    /// The same amount on a device of any size.
    Fixed(Size),
}

impl Fill {
    /// Slots in use of a device that has `slots`.
    pub fn of(self, slots: usize) -> usize {
        match self {
            Self::Percent(percent) => slots * percent as usize / 100,
            Self::Fixed(size) => size.slots(),
        }
    }
}

impl FromStr for Fill {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_suffix('%').unwrap_or(text).parse() {
            Ok(percent @ 0..=100) => Ok(Self::Percent(percent)),
            _ => text.parse().map(Self::Fixed).map_err(|_| {
                "expected 0 to 100 percent, or an amount that is a multiple of 2MiB, such as 64MiB"
                    .into()
            }),
        }
    }
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Percent(percent) => percent.fmt(f),
            Self::Fixed(size) => size.fmt(f),
        }
    }
}

/// The longest time that a whole run may take: `90s`, `4m30s` or `0.5h`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget(pub Duration);

impl FromStr for Budget {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a time with its unit, such as 90s, 4m30s or 1h";
        let (mut rest, mut seconds) = (text, 0.0);
        for (unit, each) in [('h', 3600.0), ('m', 60.0), ('s', 1.0)] {
            let Some((number, after)) = rest.split_once(unit) else { continue };
            let number: f64 = number.parse().map_err(|_| expected())?;
            if number.is_sign_negative() {
                return Err(expected().into());
            }
            (rest, seconds) = (after, seconds + number * each);
        }
        match seconds {
            _ if !rest.is_empty() => Err(expected().into()),
            seconds if seconds > 0.0 && seconds <= 1e6 => {
                Ok(Self(Duration::from_secs_f64(seconds)))
            }
            _ => Err(expected().into()),
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs_f64())
    }
}

/// Steps per second: `200000`, `200k` or `1.5M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub NonZeroU64);

/// A whole number up to a thousand millions, with k or M for thousands and millions.
fn whole(text: &str) -> Option<NonZeroU64> {
    let (number, factor) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1e3),
        Some(b'M') => (&text[..text.len() - 1], 1e6),
        _ => (text, 1.0),
    };
    let number = number.parse::<f64>().ok()? * factor;
    NonZeroU64::new(number as u64).filter(|whole| number <= 1e9 && whole.get() as f64 == number)
}

impl FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected 1 to 1000000000 steps per second, such as 200k";
        whole(text).map(Self).ok_or_else(|| expected.into())
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Events of the simulator: `20M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events(pub NonZeroU64);

impl FromStr for Events {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected 1 to 1000000000 events, such as 20M";
        whole(text).map(Self).ok_or_else(|| expected.into())
    }
}

impl fmt::Display for Events {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The width that an interval should have: half of it as a percentage of the median, `1%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Width {
    percent: f64,
}

impl Width {
    pub fn share(self) -> f64 {
        self.percent / 100.0
    }
}

impl FromStr for Width {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_suffix('%').unwrap_or(text).parse() {
            Ok(percent) if (0.01..=50.0).contains(&percent) => Ok(Self { percent }),
            _ => Err("expected a percentage from 0.01% to 50%, such as 1%".into()),
        }
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}%", self.percent)
    }
}

/// A mix of allocation orders with their shares: `0` or `0:.7,2:.1,4:.2`.
#[derive(Clone, Debug, PartialEq)]
pub struct Orders(Vec<(u8, f64)>);

impl Orders {
    /// Order 0 alone.
    pub fn base_pages() -> Self {
        Self(vec![(0, 1.0)])
    }

    /// (order, share); the shares add up to 1.
    pub fn shares(&self) -> impl Iterator<Item = (u8, f64)> {
        let total: f64 = self.0.iter().map(|(_, share)| share).sum();
        self.0.iter().map(move |(order, share)| (*order, share / total))
    }
}

impl FromStr for Orders {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected orders 0..{} with shares, as 0:.7,4:.3", ORDERS - 1);
        let mut mix: Vec<(u8, f64)> = Vec::new();
        for part in text.split(',') {
            let (order, share) = part.split_once(':').unwrap_or((part, "1"));
            let order: u8 = order.parse().map_err(|_| expected())?;
            let share: f64 = share.parse().map_err(|_| expected())?;
            let twice = mix.iter().any(|(o, _)| *o == order);
            if twice || usize::from(order) >= ORDERS || !(share > 0.0 && share.is_finite()) {
                return Err(expected());
            }
            mix.push((order, share));
        }
        Ok(Self(mix))
    }
}

impl fmt::Display for Orders {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let part = |(order, share): &(u8, f64)| match self.0.len() {
            1 => order.to_string(),
            _ => format!("{order}:{share}"),
        };
        f.write_str(&self.0.iter().map(part).collect::<Vec<_>>().join(","))
    }
}

/// How many swap devices, by priority, those of the highest first: `8`, or `2+6` for two that are used
/// up before the other six. `2+6:worker` and `2+6:turns` give cgroups masks: each may use the devices of
/// one priority alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Devices {
    tiers: Vec<usize>,
    masks: Option<Masks>,
}

/// Which cgroup a worker is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masks {
    /// One for all its steps; its neighbour is in the next one.
    Worker,
    /// Another one at each step, as if tasks of all cgroups shared its CPU.
    Turns,
}

impl Devices {
    /// MAX_SWAPFILES on x86-64 (include/linux/swap.h, 6.12): 32 types, nine of which are no devices.
    const MOST: usize = 23;

    /// One device.
    pub fn one() -> Self {
        Self { tiers: vec![1], masks: None }
    }

    /// All devices together.
    pub fn count(&self) -> usize {
        self.tiers.iter().sum()
    }

    /// The priority of each device.
    pub fn priorities(&self) -> impl Iterator<Item = i16> {
        let tiers = self.tiers.iter().zip(1..);
        tiers.flat_map(|(count, tier)| std::iter::repeat_n(self.tiers.len() as i16 - tier, *count))
    }

    /// Whether cgroups have masks.
    pub fn masked(&self) -> bool {
        self.masks.is_some()
    }

    /// The priority that a worker may use at a step; `None` without masks.
    pub fn mask(&self, worker: usize, step: u64) -> Option<i16> {
        let nth = match self.masks? {
            Masks::Worker => worker as u64,
            Masks::Turns => step,
        };
        Some((nth % self.tiers.len() as u64) as i16)
    }
}

impl FromStr for Devices {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (counts, masks) = match text.split_once(':') {
            None => (text, Some(None)),
            Some((counts, "worker")) => (counts, Some(Some(Masks::Worker))),
            Some((counts, "turns")) => (counts, Some(Some(Masks::Turns))),
            Some((counts, _)) => (counts, None),
        };
        let tiers = counts.split('+').map(|count| count.parse().ok().filter(|count| *count > 0));
        let tiers = tiers.collect::<Option<Vec<usize>>>();
        let all = tiers.zip(masks).map(|(tiers, masks)| Self { tiers, masks });
        all.filter(|all| (1..=Self::MOST).contains(&all.count())).ok_or_else(|| {
            format!(
                "expected at most {} devices, as 8, or by priority, as 2+6, or with masks, as \
                 2+6:worker or 2+6:turns",
                Self::MOST
            )
        })
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.tiers.iter().map(usize::to_string).collect::<Vec<_>>().join("+"))?;
        f.write_str(match self.masks {
            None => "",
            Some(Masks::Worker) => ":worker",
            Some(Masks::Turns) => ":turns",
        })
    }
}

/// How often, on average, each CPU of a model is taken away, and for how long: `2ms:500us`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preempt(pub Preemption);

impl Preempt {
    /// None for `none`.
    pub fn some(self) -> Option<Self> {
        (self != Self::NONE).then_some(self)
    }

    const NONE: Self = Self(Preemption { every_ns: 0, for_ns: 0 });
}

const TIMES: [(&str, u64); 4] = [("ms", 1_000_000), ("us", 1_000), ("ns", 1), ("s", 1_000_000_000)];

fn time(text: &str) -> Option<u64> {
    let (number, unit) =
        TIMES.iter().find_map(|(name, ns)| Some((text.strip_suffix(name)?, *ns)))?;
    let ns = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (1..=1_000_000_000_000).contains(&ns).then_some(ns)
}

fn show_time(ns: u64) -> String {
    let whole = TIMES.iter().find(|(_, unit)| ns.is_multiple_of(*unit)).expect("ns divides all");
    format!("{}{}", ns / whole.1, whole.0)
}

impl FromStr for Preempt {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::NONE);
        }
        let times = text.split_once(':').and_then(|(a, b)| Some((time(a)?, time(b)?)));
        let (every_ns, for_ns) =
            times.ok_or("expected none, or how often and how long, as 2ms:500us")?;
        Ok(Self(Preemption { every_ns, for_ns }))
    }
}

impl fmt::Display for Preempt {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.some() {
            None => f.write_str("none"),
            Some(Self(Preemption { every_ns, for_ns })) => {
                write!(f, "{}:{}", show_time(every_ns), show_time(for_ns))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: FromStr<Err = String> + fmt::Display + PartialEq + fmt::Debug>(text: &str) {
        let value: T = text.parse().unwrap();
        assert_eq!(value.to_string().parse::<T>().unwrap(), value, "{text}");
    }

    #[test]
    fn values_are_shown_as_they_are_parsed() {
        ["1", "384", "auto"].iter().for_each(|text| round_trip::<Threads>(text));
        ["2MiB", "10GiB", "10g", "6m", "4096K"].iter().for_each(|text| round_trip::<Size>(text));
        ["0", "75", "75%", "1GiB"].iter().for_each(|text| round_trip::<Fill>(text));
        ["90s", "4m", "0.5h", "4m30s", "1h0.5s"].iter().for_each(|text| round_trip::<Budget>(text));
        ["none", "2ms:500us", "1s:1ns"].iter().for_each(|text| round_trip::<Preempt>(text));
        ["0", "9", "0:.7,2:.1,4:.2", "0,4"].iter().for_each(|text| round_trip::<Orders>(text));
        ["1", "8", "2+6", "1+1+1", "1+1:worker", "2+6:turns"]
            .iter()
            .for_each(|text| round_trip::<Devices>(text));
        ["1", "200k", "1.5M", "1e9"].iter().for_each(|text| round_trip::<Rate>(text));
        ["1%", "0.5", "50%"].iter().for_each(|text| round_trip::<Width>(text));
        assert_eq!("1.5M".parse::<Rate>().unwrap().0.get(), 1_500_000);
        assert_eq!("1%".parse::<Width>().unwrap().share(), 0.01);
        assert_eq!("1GiB".parse::<Size>().unwrap().slots(), 262_144);
        assert_eq!("4m30s".parse::<Budget>().unwrap().0.as_secs(), 270);
        assert_eq!("1h1m1s".parse::<Budget>().unwrap().0.as_secs(), 3661);
        assert_eq!("75%".parse::<Fill>().unwrap(), Fill::Percent(75));
    }

    #[test]
    fn devices_are_counted_by_priority() {
        let priorities =
            |text: &str| -> Vec<i16> { text.parse::<Devices>().unwrap().priorities().collect() };
        assert_eq!(priorities("3"), [0, 0, 0]);
        assert_eq!(priorities("1+2+1"), [2, 1, 1, 0]);
        let mask = |text: &str, worker, step| text.parse::<Devices>().unwrap().mask(worker, step);
        assert_eq!(
            [(0, 0), (3, 0), (1, 7)].map(|(w, s)| mask("1+1:worker", w, s)),
            [0, 1, 1].map(Some)
        );
        assert_eq!(
            [(0, 0), (3, 0), (1, 7)].map(|(w, s)| mask("2+6:turns", w, s)),
            [0, 0, 1].map(Some)
        );
        assert_eq!(mask("2+6", 1, 1), None);
        for text in ["0", "2+0", "+2", "24", "20+4", "eight", "2:", "1+1:tasks", ":turns"] {
            assert!(text.parse::<Devices>().unwrap_err().contains("at most 23 devices"), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_what_was_expected() {
        let refused = |text: &str, all: [bool; 5]| assert_eq!(all, [true; 5], "{text}");
        let words = ["", "-1", "0", "1e9999", "NaN", "x", "3MiB", "99999999999999999999GiB", "m"];
        for text in words.into_iter().filter(|t| *t != "0") {
            let threads = text.parse::<Threads>().is_err();
            let size = text.parse::<Size>().is_err();
            let budget = text.parse::<Budget>().is_err();
            let fill = text.parse::<Fill>().is_err();
            assert!(text.parse::<Preempt>().is_err(), "{text}");
            refused(text, [threads, size, budget, fill, text.parse::<Orders>().is_err()]);
        }
        assert!("0".parse::<Threads>().is_err() && "0GiB".parse::<Size>().is_err());
        assert!("0,0".parse::<Orders>().is_err() && "10".parse::<Orders>().is_err());
        let rates = ["0", "-1", "0.5", "1.0005k", "2e9", "k", "", "1K", "NaN"];
        assert!(rates.iter().all(|text| text.parse::<Rate>().is_err()));
        assert!(["0%", "51%", "-1", "NaN", "%"].iter().all(|text| text.parse::<Width>().is_err()));
        assert!("101".parse::<Fill>().is_err() && "-1".parse::<Fill>().is_err());
        let budgets = ["90", "30s4m", "4m30", "4m4m", "-4m", "4m-1s", "NaNs", "infs", "ms", "4 m"];
        assert!(budgets.iter().all(|text| text.parse::<Budget>().is_err()));
        assert!("90".parse::<Budget>().unwrap_err().contains("with its unit"));
        let decimal = "64MB".parse::<Size>().unwrap_err();
        assert!(decimal.contains("'MB' is a power of 1000") && decimal.contains("64MiB"));
        assert!(["1gb", "64kb"].iter().all(|text| text.parse::<Size>().is_err()));
        assert!(["%", "50%%", "-1%", "1GiB%"].iter().all(|text| text.parse::<Fill>().is_err()));
        assert!("0:0".parse::<Orders>().is_err() && "0s".parse::<Budget>().is_err());
    }

    #[test]
    fn auto_ends_with_all_cpus() {
        assert_eq!(Threads::Auto.expand(1), [1]);
        assert_eq!(Threads::Auto.expand(6), [1, 2, 4, 6]);
        assert_eq!(Threads::Auto.expand(8), [1, 2, 4, 8]);
    }
}
