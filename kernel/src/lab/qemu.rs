//! QEMU and the guest's console. Guards the host: no QEMU outlives this process or its deadline.

use std::io::{PipeReader, Read, pipe};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::guest::{MARK, Message};
use super::image::Image;
use super::packages::Kernel;
use crate::live::{self, Error};

/// How the guest's instructions are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// by the host's CPUs: time is hardware time
    Kvm,
    /// by QEMU's translator (TCG): time is not hardware time
    Emulation,
}

impl Accel {
    /// In words, for the report.
    pub fn describe(self) -> &'static str {
        match self {
            Accel::Kvm => "KVM",
            Accel::Emulation => "emulation: not hardware timing",
        }
    }
}

const MISSING: &str = "cannot start QEMU (on Debian: apt-get install qemu-system-x86)";

fn program() -> String {
    format!("qemu-system-{}", std::env::consts::ARCH)
}

/// Checks that QEMU is installed, before anything is fetched.
///
/// # Errors
/// [`Error::System`] with how to install it.
pub fn find() -> Result<(), Error> {
    let found = Command::new(program()).arg("--version").output();
    found.map(drop).map_err(Error::system(MISSING))
}

/// Chooses KVM if a guest reports in under it. A /dev/kvm that opens is not enough.
pub fn probe(
    kernel: &Kernel,
    image: &Image,
    memory_mib: u64,
    cpus: usize,
    patience: Duration,
) -> Accel {
    let deadline = patience.min(Duration::from_secs(20));
    let reports_in = || -> Result<bool, Error> {
        let mut guest = Guest::boot(kernel, image, Accel::Kvm, memory_mib, cpus)?;
        Ok(matches!(guest.next(Instant::now() + deadline), Ok(Some(Message::Up { .. }))))
    };
    let kvm = std::fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
    if kvm && matches!(reports_in(), Ok(true)) { Accel::Kvm } else { Accel::Emulation }
}

/// A running guest.
pub struct Guest {
    child: Child,
    output: PipeReader,
    console: Console,
    silent: bool,
}

/// The parser of the console: bytes in, messages out.
#[derive(Default)]
pub struct Console {
    /// received and not yet parsed
    received: Vec<u8>,
    /// The last line of the kernel. Of a panic it is the first one, which has the reason.
    last: String,
    /// the kernel's first report of a lockup of each CPU
    report: Vec<String>,
    /// the lines that come belong to it
    reporting: bool,
}

const PANIC: &str = "Kernel panic - not syncing";
/// How the watchdog's report of a soft lockup begins. The levels of the console let it pass always.
const LOCKUP: &str = "watchdog: BUG: soft lockup";
/// How a report ends.
const STACK_END: &str = "</TASK>";
/// Lines of reports that are kept at most.
const REPORT_LINES: usize = 400;

/// Longer than any cell, bytes: a line that is longer has no end.
const LONGEST_LINE: usize = 64 << 20;

impl Console {
    /// Adds bytes from the console.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }

    /// The next complete message of the guest; `None` until more bytes have been received.
    ///
    /// # Errors
    /// [`Error::Refused`] where a message cannot be parsed or a line has no end.
    pub fn message(&mut self) -> Result<Option<Message>, Error> {
        let refused = |why: &str| Error::Refused(format!("cannot read the console: {why}"));
        while let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.received.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if let Some((_, message)) = line.split_once(MARK) {
                let message = serde_json::from_str(message.trim());
                return message.map(Some).map_err(|error| refused(&error.to_string()));
            }
            if !line.trim().is_empty() && !self.panicked() {
                self.last = line.trim().to_owned();
            }
            self.keep_report(line.trim());
            if line.contains(LOCKUP) {
                return Ok(Some(Message::Lockup));
            }
        }
        if self.received.len() > LONGEST_LINE {
            return Err(refused("a line without an end"));
        }
        Ok(None)
    }

    /// The kernel's first report of a lockup of each CPU, up to the end of its stack; empty without
    /// one.
    pub fn report(&self) -> &[String] {
        &self.report
    }

    fn keep_report(&mut self, line: &str) {
        if let Some((_, what)) = line.split_once(LOCKUP) {
            let cpu = what.split(" stuck").next().unwrap_or_default();
            let begin = format!("{LOCKUP}{cpu} stuck");
            self.reporting = !self.report.iter().any(|kept| kept.contains(&begin));
        }
        if self.reporting && self.report.len() < REPORT_LINES {
            self.report.push(line.to_owned());
        }
        self.reporting &= !line.contains(STACK_END);
    }

    fn panicked(&self) -> bool {
        self.last.contains(PANIC)
    }
}

impl Guest {
    /// Starts QEMU with the kernel and the image.
    ///
    /// # Errors
    /// [`Error::System`] where QEMU cannot be started.
    pub fn boot(
        kernel: &Kernel,
        image: &Image,
        accel: Accel,
        memory_mib: u64,
        cpus: usize,
    ) -> Result<Guest, Error> {
        let failed = Error::system("cannot make a console");
        // QEMU's own messages too: one may be the reason why there is no guest.
        let (output, console) = pipe().map_err(&failed)?;
        let mut command = Command::new(program());
        match accel {
            Accel::Kvm => command.args(["-accel", "kvm", "-cpu", "host"]),
            Accel::Emulation => command.args(["-accel", "tcg,thread=multi", "-cpu", "max"]),
        };
        command
            .args(["-machine", "q35", "-m", &memory_mib.to_string(), "-smp", &cpus.to_string()])
            .arg("-kernel")
            .arg(&kernel.image)
            .arg("-initrd")
            .arg(image.path())
            .args(["-append", APPEND])
            .args(["-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio"])
            .stdin(Stdio::null())
            .stdout(console.try_clone().map_err(failed)?)
            .stderr(console);
        live::die_with_us(&mut command);
        let child = command.spawn().map_err(Error::system(MISSING))?;
        Ok(Guest { child, output, console: Console::default(), silent: false })
    }

    /// Passes every message of the guest to `keep`, until the last one.
    ///
    /// # Errors
    /// [`Error::Refused`] with the guest's last line where it ends early, takes longer than
    /// `patience`, or says nothing itself for as long as `silence`; [`Error::Interrupted`] after a
    /// signal, and that of `keep`.
    pub fn listen(
        &mut self,
        patience: Duration,
        silence: Duration,
        mut keep: impl FnMut(Message) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + patience;
        let mut heard = Instant::now();
        loop {
            let until = deadline.min(heard + silence);
            let next = self.next(until);
            self.silent = next.is_err() && until < deadline && Instant::now() > until;
            let Some(message) = next? else { break };
            if !matches!(message, Message::Lockup) {
                heard = Instant::now();
            }
            let last = matches!(message, Message::End { .. } | Message::Failed(_));
            keep(message)?;
            if last {
                return Ok(());
            }
        }
        Err(Error::Refused(format!("the guest ended early: {}", self.console.last)))
    }

    /// True when the guest's kernel has panicked.
    pub fn panicked(&self) -> bool {
        self.console.panicked()
    }

    /// True when [`Guest::listen`] has ended since the guest was silent.
    pub fn silent(&self) -> bool {
        self.silent
    }

    /// The kernel's first report of a lockup of each CPU; empty without one.
    pub fn report(&self) -> &[String] {
        self.console.report()
    }

    /// The next message of the guest; `None` when the guest has ended.
    fn next(&mut self, deadline: Instant) -> Result<Option<Message>, Error> {
        let failed = "cannot read the console";
        loop {
            if let Some(message) = self.console.message()? {
                return Ok(Some(message));
            }
            live::check_stop()?;
            if Instant::now() > deadline {
                let last = &self.console.last;
                return Err(Error::Refused(format!("no end in time; its last line: {last}")));
            }
            let slice = Duration::from_millis(100);
            if live::readable(self.output.as_fd(), slice).map_err(Error::system(failed))? {
                let mut chunk = [0; 1 << 16];
                let read = self.output.read(&mut chunk).map_err(Error::system(failed))?;
                if read == 0 {
                    return Ok(None);
                }
                self.console.receive(&chunk[..read]);
            }
        }
    }
}

/// The kernel's command line. LD_LIBRARY_PATH goes to the environment of init: the image has the
/// libraries there. Without no_timer_check the kernel tests its timer, which fails on a busy host,
/// and panics.
const APPEND: &str = "console=ttyS0 panic=-1 quiet mitigations=off preempt=voluntary \
                      no_timer_check LD_LIBRARY_PATH=/lib64";

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lockup_is_told_and_the_first_report_of_each_cpu_is_kept() {
        let mut console = Console::default();
        console.receive(
            b"[   22.1] null_blk: disk nullb0 created\n\
              [   32.6] watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [init:136]\n\
              [   32.7]  cluster_alloc_swap_entry+0x164/0x410\n[   32.7]  </TASK>\n\
              [   33.0] Adding 24572k swap on /dev/zram0\n\
              [   60.6] watchdog: BUG: soft lockup - CPU#1 stuck for 52s! [init:136]\n\
              [   60.7]  </TASK>\n\
              [   60.8] watchdog: BUG: soft lockup - CPU#0 stuck for 52s! [init:1]\n\
              @swapscale {\"failed\":\"enough\"}\n",
        );
        for _ in 0..3 {
            assert!(matches!(console.message(), Ok(Some(Message::Lockup))));
        }
        assert!(matches!(console.message(), Ok(Some(Message::Failed(_)))));
        let report = console.report();
        assert_eq!(report.len(), 4, "{report:?}");
        assert!(report[0].contains("stuck for 26s") && report[2].ends_with("</TASK>"));
        assert!(report[3].contains("CPU#0 stuck for 52s"), "{report:?}");
    }
}
