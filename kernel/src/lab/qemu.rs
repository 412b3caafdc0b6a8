//! QEMU, and the guest's console. Guards the host: no QEMU outlives this process or its own
//! deadline.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::guest::{MARK, Said};
use super::packages::Kernel;
use crate::live::{self, Error};

/// How the guest's instructions are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    Kvm,
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

/// Says what is missing before anything is fetched for it.
pub fn find() -> Result<(), Error> {
    let found = Command::new(program()).arg("--version").output();
    found.map(drop).map_err(Error::system(MISSING))
}

/// KVM counts only once a guest has reported in: a /dev/kvm that opens is not enough.
pub fn probe(
    kernel: &Kernel,
    image: &Path,
    memory_mib: u64,
    cpus: usize,
    patience: Duration,
) -> Accel {
    let deadline = patience.min(Duration::from_secs(20));
    let reports_in = || -> Result<bool, Error> {
        let mut guest = Guest::boot(kernel, image, Accel::Kvm, memory_mib, cpus)?;
        Ok(matches!(guest.next(Instant::now() + deadline), Ok(Some(Said::Up { .. }))))
    };
    let kvm = std::fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
    if kvm && matches!(reports_in(), Ok(true)) { Accel::Kvm } else { Accel::Emulation }
}

/// A guest that runs.
pub struct Guest {
    child: Child,
    output: ChildStdout,
    console: Console,
}

/// What came over the console and was not understood yet.
#[derive(Default)]
pub struct Console {
    heard: Vec<u8>,
    /// The last line that was the kernel's; of a panic its first, which says why.
    last: String,
}

const PANIC: &str = "Kernel panic - not syncing";

/// No cell is longer; what does not end its line by then never will.
const LONGEST_LINE: usize = 64 << 20;

impl Console {
    pub fn hears(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
    }

    /// The next thing the guest has said in whole; none until more is heard.
    pub fn said(&mut self) -> Result<Option<Said>, Error> {
        let refused = |why: &str| Error::Refused(format!("cannot read the console: {why}"));
        while let Some(end) = self.heard.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if let Some((_, said)) = line.split_once(MARK) {
                let said = serde_json::from_str(said.trim());
                return said.map(Some).map_err(|error| refused(&error.to_string()));
            }
            if !line.trim().is_empty() && !self.panicked() {
                self.last = line.trim().to_owned();
            }
        }
        if self.heard.len() > LONGEST_LINE {
            return Err(refused("a line without an end"));
        }
        Ok(None)
    }

    fn panicked(&self) -> bool {
        self.last.contains(PANIC)
    }
}

impl Guest {
    /// Starts QEMU with the kernel and the image.
    pub fn boot(
        kernel: &Kernel,
        image: &Path,
        accel: Accel,
        memory_mib: u64,
        cpus: usize,
    ) -> Result<Guest, Error> {
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
            .arg(image)
            .args(["-append", APPEND])
            .args(["-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        live::die_with_us(&mut command);
        let mut child = command.spawn().map_err(Error::system(MISSING))?;
        let output = child.stdout.take().expect("piped");
        Ok(Guest { child, output, console: Console::default() })
    }

    /// Hears the guest out; the error says why it did not end well.
    pub fn listen(
        &mut self,
        patience: Duration,
        mut keep: impl FnMut(Said) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + patience;
        while let Some(said) = self.next(deadline)? {
            let last = matches!(said, Said::End { .. } | Said::Failed(_));
            keep(said)?;
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

    /// The next thing the guest says; none when it has ended.
    fn next(&mut self, deadline: Instant) -> Result<Option<Said>, Error> {
        let failed = "cannot read the console";
        loop {
            if let Some(said) = self.console.said()? {
                return Ok(Some(said));
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
                self.console.hears(&chunk[..read]);
            }
        }
    }
}

/// LD_LIBRARY_PATH goes to init's environment: where the image has put its libraries. On a busy
/// host the kernel's test of its timer fails and it panics: no_timer_check.
const APPEND: &str = "console=ttyS0 panic=-1 quiet mitigations=off preempt=voluntary \
                      no_timer_check LD_LIBRARY_PATH=/lib64";

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
