//! The live driver on the kernel of this machine. Needs root, zram and memory; where one is
//! missing, the tests are ignored and name it. Guards above all that nothing is left behind.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("live: not Linux, nothing to test");
}

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use kernel::live::{self, Args, Content, Workload, calibrate};
    use kernel::prices::{Measured, Prices, What};
    use libtest_mimic::{Arguments, Completion, Trial};

    /// The first argument that makes this binary the controller of a run.
    const CONTROL: &str = "control";
    /// The workload of `control` that is a calibration of prices; the number after it is of runs.
    const PRICES: &str = "prices";

    pub fn main() {
        let argv: Vec<String> = std::env::args().skip(1).collect();
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        match argv[..] {
            _ if argv == live::WORKER_ARGV => live::worker_main().unwrap(),
            [CONTROL, PRICES, runs] => prices(runs.parse().unwrap()),
            [CONTROL, workloads, millis] => control(workloads, millis.parse().unwrap()),
            _ => libtest_mimic::run(&arguments(), tests()).exit(),
        }
    }

    fn args(workloads: &str, millis: u64) -> Args {
        let wanted = |w: &Workload| workloads.split(',').any(|name| name == w.id());
        let cpus: Vec<usize> = (0..std::thread::available_parallelism().unwrap().get()).collect();
        Args {
            workloads: Workload::ALL.into_iter().filter(wanted).collect(),
            threads: (1..=cpus.len().min(2) as u32).collect(),
            batches: vec![16],
            trials: 1,
            interval: Duration::from_millis(millis),
            seed: 1,
            cpus,
            pin: "compact".into(),
            size: 128 << 20,
            fill: 50,
            trace: true,
            swap_device: None,
        }
    }

    /// Prints one line per cell, which the tests read.
    fn control(workloads: &str, millis: u64) {
        let summary = live::run(&args(workloads, millis), &(), |_, cell, _| {
            let out: u64 = cell.per_thread.iter().sum();
            let offs = cell.swapoff.len();
            println!("cell {} {} out={out} offs={offs}", cell.key.workload, cell.key.threads);
            Ok(())
        });
        match summary {
            Ok(summary) => println!("end, refused: {:?}", summary.refused),
            Err(error) => {
                eprintln!("{error}");
                std::process::exit(2);
            }
        }
    }

    /// Prints a price file, which the tests read.
    fn prices(runs: u32) {
        let cpus = args("churn", 100).cpus;
        let (content, pages) = (Content::Compressible, 4096);
        let args = calibrate::Args { content, runs, pages, cpus, command: "test".into() };
        match calibrate::calibrate(&args, |_, _| {}) {
            Ok(prices) => println!("{}", toml::to_string(&prices).unwrap()),
            Err(error) => {
                eprintln!("{error}");
                std::process::exit(2);
            }
        }
    }

    fn spawn(workloads: &str, millis: u64) -> Child {
        Command::new("/proc/self/exe")
            .args([CONTROL, workloads, &millis.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// All that a run could leave on a machine: swap and its devices, cgroups, mounts, a setting.
    fn machine() -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (dir, prefix) in [
            ("/sys/block", "zram"),
            ("/sys/fs/cgroup", "swapscale"),
            ("/sys/fs/cgroup/memory", "swapscale"),
        ] {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            found.extend(names.filter(|name| name.starts_with(prefix)));
        }
        let lines = |file: &str, wanted: &str| -> Vec<String> {
            let text = fs::read_to_string(file).unwrap_or_default();
            let lines = text.lines().filter(|line| line.contains(wanted));
            lines
                .map(|line| line.split_whitespace().take(4).collect::<Vec<_>>().join(" "))
                .collect()
        };
        found.extend(lines("/proc/swaps", "zram"));
        found.extend(lines("/proc/mounts", "tracefs"));
        found.extend(lines("/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled", "["));
        found
    }

    fn same(before: &BTreeSet<String>, after: &BTreeSet<String>) {
        let left: Vec<_> = after.difference(before).collect();
        let lost: Vec<_> = before.difference(after).collect();
        assert!(left.is_empty() && lost.is_empty(), "left behind: {left:?}, lost: {lost:?}");
    }

    /// One test at a time: each one looks at the whole machine.
    fn arguments() -> Arguments {
        Arguments { test_threads: Some(1), ..Arguments::from_args() }
    }

    fn tests() -> Vec<Trial> {
        type Test = (&'static str, fn());
        let tests: [Test; 7] = [
            ("a_dry_run_makes_nothing", a_dry_run_makes_nothing),
            ("every_workload_swaps_and_leaves_nothing", every_workload_swaps_and_leaves_nothing),
            ("only_one_run_at_a_time", only_one_run_at_a_time),
            ("a_signal_undoes_everything", a_signal_undoes_everything),
            ("a_killed_run_is_undone_by_cleanup", a_killed_run_is_undone_by_cleanup),
            ("prices_have_all_points_and_leave_nothing", prices_have_all_points_and_leave_nothing),
            (
                "a_killed_calibration_is_undone_by_cleanup",
                a_killed_calibration_is_undone_by_cleanup,
            ),
        ];
        let mut trials: Vec<Trial> = tests.map(|(name, test)| on_this_machine(name, test)).into();
        trials.push(Trial::ignorable_test("a_machine_that_cannot_is_refused_in_one_line", || {
            Ok(match live::dry_run(&args("churn", 100)) {
                Ok(_) => Completion::ignored_with("this machine can"),
                Err(_) => {
                    refuses_in_one_line();
                    Completion::Completed
                }
            })
        }));
        trials
    }

    /// A test that is ignored where the driver refuses to run, and that must leave the machine as
    /// it found it.
    fn on_this_machine(name: &str, test: fn()) -> Trial {
        Trial::ignorable_test(name, move || {
            if let Err(why) = live::dry_run(&args("churn", 100)) {
                return Ok(Completion::ignored_with(why));
            }
            let _alone = alone();
            live::cleanup().expect("the rests of an earlier test run can be undone");
            let before = machine();
            test();
            same(&before, &machine());
            Ok(Completion::Completed)
        })
    }

    /// Two test runs on one machine would see each other's devices: they take turns.
    fn alone() -> fs::File {
        fs::create_dir_all(live::directory()).unwrap();
        let turn = fs::File::create(live::directory().join("test-lock")).unwrap();
        turn.lock().unwrap();
        turn
    }

    fn refuses_in_one_line() {
        let output = spawn("churn", 100).wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    }

    fn a_dry_run_makes_nothing() {
        let before = machine();
        let would = live::dry_run(&args("churn,mthp", 100)).unwrap();
        assert!(would.iter().any(|line| line.contains("zram device of 128 MiB")), "{would:?}");
        same(&before, &machine());
    }

    /// A trial may be refused on a busy machine, but not all trials of a workload.
    fn every_workload_swaps_and_leaves_nothing() {
        let mut names = vec!["churn", "seq", "build", "swapoff"];
        if Path::new("/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled").exists() {
            names.push("mthp");
        }
        let output = spawn(&names.join(","), 200).wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        for name in names {
            let cells = said.lines().filter(|line| line.starts_with(&format!("cell {name} ")));
            let cells: Vec<_> = cells.collect();
            assert!(!cells.is_empty(), "no cell of {name}:\n{said}");
            assert!(!cells.iter().any(|line| line.contains("out=0 ")), "{cells:?}");
            let offs = cells.iter().any(|line| !line.ends_with("offs=0"));
            assert_eq!(offs, name == "swapoff", "{cells:?}");
        }
    }

    fn only_one_run_at_a_time() {
        let mut first = spawn("churn", 20_000);
        wait_for_swap();
        let second = spawn("churn", 100).wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&second.stderr);
        assert!(second.status.code() == Some(2) && said.contains("another run"), "{said}");
        interrupt(&first);
        first.wait().unwrap();
    }

    fn a_signal_undoes_everything() {
        let before = machine();
        let child = spawn("swapoff", 20_000);
        wait_for_swap();
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("interrupted"), "{said}");
        same(&before, &machine());
    }

    /// Killed at moments spread over the life of a run: while it makes things, while it works.
    /// `SWAPSCALE_KILLS` is the number of kills.
    fn a_killed_run_is_undone_by_cleanup() {
        let before = machine();
        let kills = std::env::var("SWAPSCALE_KILLS").map_or(5, |n| n.parse().unwrap());
        for kill in 0..kills {
            let mut child = spawn(["churn", "build", "swapoff", "mthp"][kill % 4], 20_000);
            if kill % 2 == 0 {
                wait_for_swap();
            }
            std::thread::sleep(Duration::from_millis(kill as u64 * 37 % 400));
            child.kill().unwrap();
            child.wait().unwrap();
            live::cleanup().unwrap();
            same(&before, &machine());
            assert_eq!(live::status(&live::directory()).unwrap(), None);
        }
    }

    /// An object costs something to free: in one calibration, freeing a slot of a page that
    /// compresses takes longer than one of a same-filled page.
    fn prices_have_all_points_and_leave_nothing() {
        let output = spawn(PRICES, 3).wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let prices: Prices = toml::from_str(&String::from_utf8(output.stdout).unwrap()).unwrap();
        let point = |what: What, batch: usize| {
            let on =
                |point: &&Measured| (point.what, point.batch, point.processes) == (what, batch, 1);
            prices.measured.iter().find(on).expect("the point was measured")
        };
        for batch in [1, 32, 512] {
            for what in What::ALL {
                let point = point(what, batch);
                assert!(0.0 < point.least && point.least <= point.ns && point.ns <= point.most);
            }
        }
        let whole = point(What::Free, 512).ns;
        let same_filled = whole - prices.free.ns;
        assert!(whole > 1.5 * same_filled, "{whole} ns, {same_filled} ns same-filled");
        assert_eq!(prices.out.ns, point(What::Out, 32).ns);
        assert_eq!(prices.in_.ns, point(What::In, 32).ns);
        assert!(prices.zsmalloc && prices.free.source.contains("same-filled"));
        assert!(prices.conditions["kernel"].contains('.'), "{:?}", prices.conditions);
    }

    /// Killed while it makes things, and while pages go out, come in and are freed.
    fn a_killed_calibration_is_undone_by_cleanup() {
        let before = machine();
        for kill in 0..4 {
            let mut child = spawn(PRICES, 1000);
            if kill > 0 {
                wait_for_swap();
            }
            std::thread::sleep(Duration::from_millis(kill * 137));
            child.kill().unwrap();
            child.wait().unwrap();
            live::cleanup().unwrap();
            same(&before, &machine());
            assert_eq!(live::status(&live::directory()).unwrap(), None);
        }
    }

    /// Waits until a zram device of the highest priority is swapped on.
    fn wait_for_swap() {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            let swaps = fs::read_to_string("/proc/swaps").unwrap();
            let ours = |line: &str| line.contains("/dev/zram") && line.ends_with("32767");
            if swaps.lines().any(ours) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the run did not switch its swap on within 30 s");
    }

    fn interrupt(child: &Child) {
        let pid = child.id().to_string();
        let done = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(done.success());
    }
}
