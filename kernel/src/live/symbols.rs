//! The kernel's functions by address, and the code that belongs to locks. Guards a lock site's
//! name: it is the function that wants the lock, not the lock's own code.

use std::fs;

/// The kernel's text symbols, sorted by address. Of a local clone (`f.isra.0`) the name is the
/// function's.
pub struct Symbols(Vec<(u64, String)>);

impl Symbols {
    /// Reads /proc/kallsyms; without it every caller is "unknown".
    pub fn read() -> Symbols {
        Symbols::parse(&fs::read_to_string("/proc/kallsyms").unwrap_or_default())
    }

    fn parse(kallsyms: &str) -> Symbols {
        let mut symbols: Vec<_> = kallsyms
            .lines()
            .filter_map(|line| {
                let mut parts = line.split_whitespace();
                let address = u64::from_str_radix(parts.next()?, 16).ok().filter(|&a| a != 0)?;
                matches!(parts.next()?, "t" | "T" | "w" | "W").then_some(())?;
                let name = parts.next()?;
                Some((address, name.split('.').next().unwrap_or(name).to_owned()))
            })
            .collect();
        symbols.sort_by_key(|&(address, _)| address);
        Symbols(symbols)
    }

    /// The innermost function of the stack that is not the lock's own code.
    pub fn caller(&self, stack: &[u64]) -> String {
        let named = stack.iter().filter_map(|&address| {
            // The top few numbers mark a context; all others are return addresses.
            let above = self.0.partition_point(|&(start, _)| start < address);
            (address < u64::MAX - 4096 && above > 0).then(|| self.0[above - 1].1.as_str())
        });
        named.into_iter().find(|name| !is_lock_code(name)).unwrap_or("unknown").to_owned()
    }
}

/// True for the functions that every waiter for a lock passes through.
pub fn is_lock_code(name: &str) -> bool {
    const PREFIXES: [&str; 20] = [
        "_raw_",
        "native_queued",
        "queued_",
        "__pv_queued",
        "virt_spin",
        "do_raw_",
        "rwsem_",
        "down_",
        "__down",
        "mutex_",
        "__mutex",
        "ww_mutex",
        "percpu_down",
        "__percpu_down",
        "rt_mutex",
        "trace_contention",
        "__traceiter_contention",
        "perf_",
        "__bpf_trace",
        "__lock_text",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KALLSYMS: &str = "ffffffff81000100 T _raw_spin_lock\n\
                            ffffffff81000200 t folio_alloc_swap.isra.0\n\
                            ffffffff81000300 D some_data\nffffffff81000400 T shrink_folio_list\n";

    #[test]
    fn the_caller_is_the_first_function_that_is_not_lock_code() {
        let symbols = Symbols::parse(KALLSYMS);
        let marker = (-128i64) as u64;
        let stack = [marker, 0xffffffff81000150, 0xffffffff81000250, 0xffffffff81000450];
        assert_eq!(symbols.caller(&stack), "folio_alloc_swap");
        assert_eq!(symbols.caller(&[marker]), "unknown");
    }
}
