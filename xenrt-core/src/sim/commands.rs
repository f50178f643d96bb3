//! The commands that simulated shells know.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::catalogue::SPARE_INTERFACE;
use super::defect::Defect;
use super::line::{self, Out, Simple, When};
use super::machine::{CPUS, MEMORY, Machine};
use super::vm::{Ahead, Files, Vm};
use crate::model::inside;

/// Where a command was given, for those who answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimPlace<'a> {
    /// The host.
    pub host: &'a str,
    /// The guest; `None` for dom0.
    pub guest: Option<&'a str>,
}

/// What a simulated shell answers to a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SimAnswer {
    pub(super) code: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) takes: Duration,
}

impl SimAnswer {
    /// Status 0 and nothing printed.
    pub fn success() -> Self {
        Self::default()
    }

    /// Status 0 and this text.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Self { stdout: text.into(), ..Self::default() }
    }

    /// This status, with an error message.
    pub fn failure(code: i32, message: impl Into<Vec<u8>>) -> Self {
        Self { code, stderr: message.into(), ..Self::default() }
    }

    /// The same after so long.
    #[must_use]
    pub fn taking(mut self, time: Duration) -> Self {
        self.takes = time;
        self
    }
}

/// One shell at work: dom0's, or a guest's.
pub(super) struct Session<'a> {
    pub(super) machine: &'a Machine,
    pub(super) guest: Option<Uuid>,
}

/// The programs that `command -v` finds.
const PROGRAMS: &[&str] = &[
    "[",
    "cat",
    "date",
    "dd",
    "df",
    "dmsetup",
    "echo",
    "false",
    "hostname",
    "id",
    "ip",
    "iperf",
    "losetup",
    "ls",
    "mkdir",
    "mktemp",
    "ping",
    "poweroff",
    "printf",
    "ps",
    "reboot",
    "rm",
    "sh",
    "sim",
    "sleep",
    "ss",
    "systemctl",
    "tcpdump",
    "test",
    "timeout",
    "touch",
    "true",
    "uname",
    "uptime",
];

/// Where the addresses of interfaces are.
const INTERFACES: &str = " /sys/class/net/*/address";

/// What `df -P -k /` prints.
const DISK_FREE: &str = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                         /dev/sim 8000000 2000000 6000000 25% /\n";

impl Session<'_> {
    /// What becomes of `line`; `None` where it is not known.
    pub(super) fn run(&self, line: &str, stdin: &[u8]) -> Option<SimAnswer> {
        if line == inside::SCRIPT.trim() {
            return Some(self.look());
        }
        if line.starts_with("grep -s -H -E ") && line.ends_with(" /proc/[0-9]*/status") {
            return Some(self.resident());
        }
        let interface = line.strip_prefix("grep -l -i ");
        if let Some(mac) = interface.and_then(|rest| rest.strip_suffix(INTERFACES)) {
            return Some(self.interface_of(mac));
        }
        // Simulated guests use what they are given at once; those with a defect never do.
        if line.starts_with("for f in /sys")
            && (1..=CPUS).any(|vcpus| line == inside::online_script(vcpus))
        {
            return Some(SimAnswer::text(format!("{}\n", self.vcpus())));
        }
        let commands = line::read(line)?;
        let mut whole = SimAnswer::default();
        for command in commands {
            let skipped = match command.when {
                When::Always => false,
                When::AfterSuccess => whole.code != 0,
                When::AfterFailure => whole.code == 0,
            };
            if skipped {
                continue;
            }
            if command.words[0] == "exit" {
                whole.code = command.words.get(1).map_or(Some(0), |code| code.parse().ok())?;
                break;
            }
            let answer = self.simple(&command, stdin)?;
            self.put(command.out, answer, &mut whole);
        }
        Some(whole)
    }

    fn put(&self, out: Out, answer: SimAnswer, whole: &mut SimAnswer) {
        whole.code = answer.code;
        whole.takes += answer.takes;
        whole.stderr.extend(answer.stderr);
        match out {
            Out::Here => whole.stdout.extend(answer.stdout),
            Out::Stderr => whole.stderr.extend(answer.stdout),
            Out::Nowhere => {}
            Out::File { path, append } => {
                let mut bytes =
                    if append { self.read(&path).unwrap_or_default() } else { Vec::new() };
                bytes.extend(answer.stdout);
                self.write(&path, bytes);
            }
        }
    }

    fn simple(&self, command: &Simple, stdin: &[u8]) -> Option<SimAnswer> {
        let assignment = |word: &&String| {
            word.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            })
        };
        let set = command.words.iter().take_while(assignment).count();
        let words: Vec<&str> = command.words[set..].iter().map(String::as_str).collect();
        let lines = |text: String| SimAnswer::text(format!("{text}\n"));
        if let Some(answer) = self.network(&words) {
            return Some(answer);
        }
        Some(match words.as_slice() {
            [] | ["true" | ":" | "sync" | "trap", ..] => SimAnswer::success(),
            ["false", ..] => SimAnswer::failure(1, ""),
            ["echo", "c"] if command.out == sysrq() => {
                self.crash();
                SimAnswer::success()
            }
            ["echo", "-n", words @ ..] => SimAnswer::text(words.join(" ")),
            ["echo", words @ ..] => lines(words.join(" ")),
            ["printf", "%s", word] => SimAnswer::text(*word),
            ["printf", "%s\\n", words @ ..] => {
                SimAnswer::text(words.iter().map(|word| format!("{word}\n")).collect::<String>())
            }
            ["cat"] | ["cat", "-"] => SimAnswer::text(stdin),
            ["cat", paths @ ..] => self.cat(paths),
            ["hostname"] | ["uname", "-n"] => lines(self.hostname()),
            ["uname", "-r"] => lines("6.1.0-sim".to_owned()),
            ["uname"] | ["uname", "-s"] => lines("Linux".to_owned()),
            ["uname", "-a"] => {
                lines(format!("Linux {} 6.1.0-sim x86_64 GNU/Linux", self.hostname()))
            }
            ["date", "+%s"] => lines(self.machine.world.clock().as_secs().to_string()),
            ["dd", words @ ..] => self.dd(words, stdin)?,
            ["dmsetup", words @ ..] if self.guest.is_none() => self.dmsetup(words)?,
            ["losetup", words @ ..] if self.guest.is_none() => self.losetup(words)?,
            ["df", "-P", "-k", "/"] => SimAnswer::text(DISK_FREE),
            ["ip", "link", "set", "dev", name, "mtu", mtu]
            | ["ip", "link", "set", name, "mtu", mtu] => self.set_mtu(name, mtu),
            ["ping", options @ .., address] => self.ping(options, address.parse().ok()?),
            ["timeout", time, "sh", "-c", "while :; do :; done"] => {
                let busy = Duration::from_secs(time.parse().ok()?);
                self.with_vm(|vm| vm.domain.as_mut().map(|domain| domain.burn(busy)));
                SimAnswer::failure(124, "").taking(busy)
            }
            ["uptime", ..] => lines("up".to_owned()),
            ["id", "-u"] => lines("0".to_owned()),
            ["id", "-un"] | ["whoami"] => lines("root".to_owned()),
            ["nproc"] => lines(self.vcpus().to_string()),
            ["sleep", time] => {
                let seconds: f64 = time.trim_end_matches('s').parse().ok()?;
                SimAnswer::success().taking(Duration::try_from_secs_f64(seconds).ok()?)
            }
            ["test" | "[", "-e" | "-f" | "-s", path]
            | ["test" | "[", "-e" | "-f" | "-s", path, "]"] => {
                status(self.read(path).is_some() || is_device(path))
            }
            ["test" | "[", "-d", path] | ["test" | "[", "-d", path, "]"] => {
                status(self.has_folder(path))
            }
            ["command", "-v", program] => match PROGRAMS.contains(program) {
                true => lines(format!("/bin/{program}")),
                false => SimAnswer::failure(127, ""),
            },
            ["ls", options @ .., path] if !path.starts_with('-') => {
                let _ = options;
                self.list(path)
            }
            ["rm", rest @ ..] => self.remove(rest),
            ["touch", "--", paths @ ..] | ["touch", paths @ ..] => {
                for path in paths {
                    self.write(path, self.read(path).unwrap_or_default());
                }
                SimAnswer::success()
            }
            ["mkdir", rest @ ..] => {
                for path in rest.iter().filter(|path| !path.starts_with('-')) {
                    self.make_folder(path);
                }
                SimAnswer::success()
            }
            ["reboot", ..] | ["systemctl", "reboot"] => {
                self.go(Ahead::Reboot);
                SimAnswer::success()
            }
            ["poweroff" | "halt", ..] | ["systemctl", "poweroff"] if self.guest.is_some() => {
                self.go(Ahead::Halt);
                SimAnswer::success()
            }
            ["dmesg"] => {
                let said = match self.guest {
                    None => self.netback_complaints(),
                    Some(_) => String::new(),
                };
                SimAnswer::text(format!("[    0.000000] Linux version 6.1.0-sim\n{said}"))
            }
            ["ps", ..] => self.processes(),
            ["sim", "list"] if self.guest.is_none() => self.sim_list(),
            ["sim", "info"] if self.guest.is_none() => lines(format!(
                "memory {MEMORY}\nprocessors {CPUS}\ninterfaces eth0 {SPARE_INTERFACE}"
            )),
            ["sim", "log"] if self.guest.is_none() => {
                if self.machine.has(Defect::LogsOutOfEvidence) {
                    SimAnswer::failure(1, "sim: no log\n")
                } else {
                    lines("(SIM) the hypervisor runs".to_owned())
                }
            }
            _ => return None,
        })
    }

    pub(super) fn with_vm<T>(&self, act: impl FnOnce(&mut Vm) -> T) -> Option<T> {
        let mut state = self.machine.state();
        state.vm(self.machine, self.guest?).map(act)
    }

    fn look(&self) -> SimAnswer {
        let Some(view) = self.with_vm(|vm| vm.inside_view()).flatten() else {
            let dom0 = format!("vcpus {CPUS}\nmemory {}\n", super::machine::DOM0_MEMORY.as_kib());
            return SimAnswer::text(dom0);
        };
        let mut text = format!("vcpus {}\nmemory {}\n", view.vcpus, view.memory.as_kib());
        view.macs.iter().for_each(|mac| text.push_str(&format!("mac {mac}\n")));
        view.disks.iter().for_each(|disk| text.push_str(&format!("disk {disk}\n")));
        SimAnswer::text(text)
    }

    fn vcpus(&self) -> u32 {
        let seen = self.with_vm(|vm| vm.inside_view()).flatten();
        seen.map_or(CPUS, |view| view.vcpus)
    }

    fn hostname(&self) -> String {
        self.with_vm(|vm| vm.name.clone()).unwrap_or_else(|| self.machine.entry.name.clone())
    }

    fn boot_id(&self) -> Uuid {
        let guest = self.with_vm(|vm| vm.domain.as_ref().map(|domain| domain.boot_id)).flatten();
        guest.unwrap_or_else(|| self.machine.boot_id())
    }

    fn crash(&self) {
        match self.guest {
            Some(uuid) => self.machine.state().crash(self.machine, uuid),
            None => self.machine.reboot(),
        }
    }

    fn go(&self, ahead: Ahead) {
        let when = Instant::now() + self.machine.world.timing.shutdown;
        let unnoticed = self.machine.has(Defect::GuestShutdownUnnoticed);
        match self.guest {
            None => self.machine.reboot(),
            Some(_) => {
                self.with_vm(|vm| {
                    if unnoticed && ahead == Ahead::Halt {
                        vm.claimed = Some(crate::model::PowerState::Running);
                        vm.domain = None;
                    } else if let Some(domain) = &mut vm.domain {
                        domain.ahead = Some((when, ahead));
                    }
                });
            }
        }
    }

    // ---- files ----

    /// Files under these folders are in memory.
    fn in_memory(path: &str) -> bool {
        ["/tmp/", "/run/", "/dev/shm/", "/proc/"].iter().any(|folder| path.starts_with(folder))
    }

    pub(super) fn with_files<T>(&self, path: &str, act: impl FnOnce(&mut Files) -> T) -> Option<T> {
        if self.guest.is_none() {
            return Some(act(&mut self.machine.state().files));
        }
        self.with_vm(|vm| {
            if Self::in_memory(path) || vm.disks.is_empty() {
                let domain = vm.domain.as_mut()?;
                Some(act(domain.files.get_or_insert_default()))
            } else {
                Some(act(vm.files.get_or_insert_default()))
            }
        })
        .flatten()
    }

    /// The bytes of a file.
    pub(super) fn read(&self, path: &str) -> Option<Vec<u8>> {
        if path == "/proc/sys/kernel/random/boot_id" {
            return Some(format!("{}\n", self.boot_id()).into_bytes());
        }
        if path == "/proc/uptime" {
            let up = self.with_vm(|vm| vm.domain.as_ref().map(|domain| domain.made)).flatten();
            let host = || self.machine.state().booted;
            let since = up.or_else(|| self.guest.is_none().then(host).flatten());
            let up = since.map_or(self.machine.world.clock(), |since| {
                Instant::now().saturating_duration_since(since)
            });
            return Some(format!("{:.2} 0.00\n", up.as_secs_f64()).into_bytes());
        }
        if path == "/proc/meminfo" {
            let total = self.with_vm(|vm| vm.inside_view()).flatten().map(|view| view.memory);
            let total = total.unwrap_or(super::machine::DOM0_MEMORY).as_kib();
            let text = format!("MemTotal: {total} kB\nMemAvailable: {} kB\n", total / 4 * 3);
            return Some(text.into_bytes());
        }
        if let Some(sectors) = self.sectors(path) {
            return Some(format!("{sectors}\n").into_bytes());
        }
        if let Some(mtu) = self.mtu(path) {
            return Some(format!("{mtu}\n").into_bytes());
        }
        if path == "/etc/hostname" {
            return Some(format!("{}\n", self.hostname()).into_bytes());
        }
        self.with_files(path, |files| files.get(path).map(|bytes| bytes.to_vec())).flatten()
    }

    /// Writes a file; says whether there is a folder for it.
    pub(super) fn write(&self, path: &str, mut bytes: Vec<u8>) -> bool {
        if self.guest.is_none() {
            let mut state = self.machine.state();
            if !state.has_folder_of(path) {
                return false;
            }
            // A file that a guest had as its disk is another one now.
            state.contents.remove(path);
            drop(state);
            if self.machine.has(Defect::FilesTruncated)
                && let Some(zero) = bytes.iter().position(|byte| *byte == 0)
            {
                bytes.truncate(zero);
            }
        }
        if path == "/dev/console" && self.guest.is_some() {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return self.with_vm(|vm| vm.print(text.trim_end())).is_some();
        }
        let file = Arc::from(bytes);
        self.with_files(path, |files| files.insert(path.to_owned(), file)).is_some()
    }

    /// There are folders where there are files; an empty one has itself.
    fn make_folder(&self, path: &str) {
        if self.guest.is_none() && !self.has_folder(path) {
            let own = format!("{}/.", path.trim_end_matches('/'));
            self.with_files(path, |files| files.insert(own, Arc::default()));
        }
    }

    fn has_folder(&self, path: &str) -> bool {
        self.machine.state().has_folder_of(&format!("{}/x", path.trim_end_matches('/')))
    }

    fn cat(&self, paths: &[&str]) -> SimAnswer {
        let mut answer = SimAnswer::default();
        for path in paths.iter().filter(|path| **path != "--") {
            match self.read(path) {
                Some(bytes) => answer.stdout.extend(bytes),
                None => {
                    answer.code = 1;
                    let message = format!("cat: {path}: No such file or directory\n");
                    answer.stderr.extend(message.into_bytes());
                }
            }
        }
        answer
    }

    fn list(&self, path: &str) -> SimAnswer {
        let inside = format!("{}/", path.trim_end_matches('/'));
        let names = self.with_files(&inside, |files| {
            let below = files.keys().filter_map(|file| file.strip_prefix(&inside));
            let mut names: Vec<String> =
                below.filter_map(|rest| rest.split('/').next()).map(str::to_owned).collect();
            names.dedup();
            names
        });
        let names = names.unwrap_or_default();
        if names.is_empty() && self.read(path).is_none() && !self.has_folder(path) {
            let message = format!("ls: cannot access '{path}': No such file or directory\n");
            return SimAnswer::failure(2, message);
        }
        SimAnswer::text(names.iter().map(|name| format!("{name}\n")).collect::<String>())
    }

    fn remove(&self, words: &[&str]) -> SimAnswer {
        let options = |word: &&&str| word.starts_with('-');
        let force = words.iter().filter(options).any(|word| word.contains('f'));
        let all = words.iter().filter(options).any(|word| word.contains('r'));
        let mut answer = SimAnswer::default();
        for path in words.iter().filter(|word| !options(word)) {
            let inside = format!("{path}/");
            let gone = self.with_files(path, |files| {
                let before = files.len();
                files.retain(|file, _| *file != **path && !(all && file.starts_with(&inside)));
                before != files.len()
            });
            if self.guest.is_none() {
                let mut state = self.machine.state();
                state.saved.remove(*path);
                state.contents.remove(*path);
            }
            if !force && gone != Some(true) {
                answer = SimAnswer::failure(1, format!("rm: cannot remove '{path}'\n"));
            }
        }
        answer
    }

    /// How much memory each process holds, as `grep` finds it in `/proc`: those of a control domain
    /// hold what they hold.
    fn resident(&self) -> SimAnswer {
        let fixed = [(1, "init", 9_000), (310, "xenstored", 4_200), (420, "sshd", 7_100)];
        let mut text = String::new();
        let mut process = |pid: u32, name: &str, kib: u32| {
            text.push_str(&format!("/proc/{pid}/status:Name:\t{name}\n"));
            text.push_str(&format!("/proc/{pid}/status:VmRSS:\t{kib:>8} kB\n"));
        };
        fixed.iter().for_each(|(pid, name, kib)| process(*pid, name, *kib));
        if self.guest.is_none() {
            for (pid, what) in &self.machine.state().processes {
                process(*pid, what.split_whitespace().next().unwrap_or("sh"), 2_000);
            }
        }
        SimAnswer::text(text)
    }

    fn processes(&self) -> SimAnswer {
        if self.guest.is_some() {
            return SimAnswer::text("1 init\n");
        }
        let state = self.machine.state();
        let lines = state.processes.iter().map(|(pid, what)| format!("{pid} {what}\n"));
        SimAnswer::text(format!("1 init\n{}", lines.collect::<String>()))
    }

    fn sim_list(&self) -> SimAnswer {
        let mut state = self.machine.state();
        state.settle_all(self.machine);
        let lines =
            state.vms.values().map(|vm| format!("{} {} {}\n", vm.uuid, vm.power(), vm.name));
        SimAnswer::text(lines.collect::<String>())
    }
}

fn sysrq() -> Out {
    Out::File { path: "/proc/sysrq-trigger".to_owned(), append: false }
}

fn is_device(path: &str) -> bool {
    matches!(path, "/" | "/dev/null" | "/proc/cpuinfo" | "/sys/hypervisor/type")
}

fn status(holds: bool) -> SimAnswer {
    SimAnswer { code: i32::from(!holds), ..SimAnswer::default() }
}
