//! The programs that the lab and the tests need, and their installation from Debian's packages.

use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// A program that is needed, the Debian package that has it, and what it is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    /// The program, looked for in `PATH` and the `sbin` folders; or a file, by its whole path.
    pub program: &'static str,
    /// The Debian package.
    pub package: &'static str,
    /// What it is for, to follow "for ".
    pub purpose: &'static str,
}

const fn requirement(
    program: &'static str,
    package: &'static str,
    purpose: &'static str,
) -> Requirement {
    Requirement { program, package, purpose }
}

/// What the virtual lab needs on the machine that it runs on. Users other than root need
/// [`LAB_WITHOUT_ROOT`] besides; [`lab`] tells what this one needs.
pub const LAB: &[Requirement] = &[
    requirement("qemu-system-x86_64", "qemu-system-x86", "the virtual hosts"),
    requirement("mmdebstrap", "mmdebstrap", "building host and guest images"),
    requirement("mkfs.ext4", "e2fsprogs", "building host and guest images"),
    requirement("cpio", "cpio", "building initial ramdisks"),
    requirement("ssh", "openssh-client", "commands on hosts and guests"),
    requirement("ssh-keygen", "openssh-client", "the lab's own login keys"),
];

/// What the virtual lab needs besides where it is not root.
pub const LAB_WITHOUT_ROOT: &[Requirement] =
    &[requirement("newuidmap", "uidmap", "building images in a name space of one's own")];

/// What the virtual lab needs for the user of this process.
pub fn lab() -> Vec<Requirement> {
    let more = if nix::unistd::Uid::effective().is_root() { &[] } else { LAB_WITHOUT_ROOT };
    LAB.iter().chain(more).copied().collect()
}

/// What hosts of libvirt with QEMU on this machine need besides ([`crate::local`]).
pub const LOCAL: &[Requirement] = &[
    requirement("libvirtd", "libvirt-daemon", "hosts of libvirt on this machine"),
    // What has no program is known by its file.
    requirement(
        "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so",
        "libvirt-daemon-driver-qemu",
        "hosts of libvirt on this machine",
    ),
    requirement("virsh", "libvirt-clients", "hosts of libvirt on this machine"),
    requirement("iptables", "iptables", "networks of libvirt"),
    requirement("nc", "netcat-openbsd", "reaching guests of libvirt on this machine"),
    requirement("tcpdump", "tcpdump", "network tests on guests of QEMU"),
    requirement("iperf", "iperf", "network tests on guests of QEMU"),
    requirement("ping", "iputils-ping", "network tests on guests of QEMU"),
];

/// What the tests of the project need besides.
pub const TESTS: &[Requirement] = &[
    requirement("sshd", "openssh-server", "tests of remote commands on a real sshd"),
    requirement("chromium", "chromium", "tests of the HTML report in a real browser"),
    requirement("script", "bsdutils", "tests of the console on a real terminal"),
    requirement("pkg-config", "pkg-config", "building the libvirt toolstack"),
    requirement("/usr/include/libvirt/libvirt.h", "libvirt-dev", "building the libvirt toolstack"),
    requirement("qemu-img", "qemu-utils", "volumes of libvirt that keep snapshots"),
    requirement("mkfs.vfat", "dosfstools", "disks that firmware boots"),
    requirement("mcopy", "mtools", "disks that firmware boots"),
    requirement("syslinux", "syslinux", "disks that a BIOS boots"),
    requirement("/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf", "guests with UEFI firmware"),
    requirement("xmllint", "libxml2-utils", "tests of schemas and answer files"),
];

/// Why what is missing could not be installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// We may not install packages.
    #[error(
        "{missing} is missing and only root can install it; run: sudo apt-get install {packages}"
    )]
    NotAllowed {
        /// The programs.
        missing: String,
        /// The packages, separated by spaces.
        packages: String,
    },
    /// This is not a Debian system, or one without apt.
    #[error(
        "{missing} is missing and there is no apt-get here; install it with this system's own means (Debian's packages are: {packages})"
    )]
    NoApt {
        /// The programs.
        missing: String,
        /// The packages, separated by spaces.
        packages: String,
    },
    /// apt-get failed or took too long.
    #[error("`{command}` failed ({reason}); it said last: {last}")]
    Apt {
        /// The command.
        command: String,
        /// Its exit status, or that its time was over.
        reason: String,
        /// The end of its output.
        last: String,
    },
    /// The packages were installed and still lack a program.
    #[error("{missing} is still missing after {packages} was installed")]
    StillMissing {
        /// The programs.
        missing: String,
        /// The packages.
        packages: String,
    },
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (package {}) for {}", self.program, self.package, self.purpose)
    }
}

/// Those of `requirements` whose program is not on this machine.
pub fn missing(requirements: &[Requirement]) -> Vec<Requirement> {
    requirements.iter().copied().filter(|needed| find_program(needed.program).is_none()).collect()
}

/// Where a program is: in `PATH`, or in a folder for system programs that a user's `PATH` may lack.
pub fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Installs what is missing of `requirements`. `say` gets a line for each thing that is missing and
/// why it is needed *before* anything is installed, then what apt-get says.
///
/// As root it calls apt-get, else `sudo -n apt-get` where that works without a password. Nothing is
/// done when nothing is missing.
///
/// # Errors
/// [`SetupError`], with the command that would help.
pub async fn install(
    requirements: &[Requirement],
    say: &(dyn Fn(String) + Send + Sync),
) -> Result<(), SetupError> {
    let missing_now = missing(requirements);
    if missing_now.is_empty() {
        return Ok(());
    }
    for needed in &missing_now {
        say(format!("missing: {needed}"));
    }
    let names = join(missing_now.iter().map(|needed| needed.program), ", ");
    let packages = join(missing_now.iter().map(|needed| needed.package), " ");
    if find_program("apt-get").is_none() {
        return Err(SetupError::NoApt { missing: names, packages });
    }
    let Some(privilege) = privilege().await else {
        return Err(SetupError::NotAllowed { missing: names, packages });
    };
    say(format!("installing: {packages}"));
    apt(&privilege, &["update", "-qq"], say).await?;
    let wanted: Vec<String> = packages.split(' ').map(str::to_owned).collect();
    install_packages(&privilege, &wanted, say).await?;
    let left = missing(requirements);
    if left.is_empty() {
        return Ok(());
    }
    Err(SetupError::StillMissing { missing: join(left.iter().map(|l| l.program), ", "), packages })
}

fn join<'a>(words: impl Iterator<Item = &'a str>, separator: &str) -> String {
    let mut unique: Vec<&str> = Vec::new();
    for word in words {
        if !unique.contains(&word) {
            unique.push(word);
        }
    }
    unique.join(separator)
}

/// The words to put before apt-get, or `None` where we may not call it.
async fn privilege() -> Option<Vec<&'static str>> {
    if nix::unistd::geteuid().is_root() {
        return Some(Vec::new());
    }
    let sudo = Command::new("sudo").args(["-n", "true"]).stderr(Stdio::null()).status();
    let works = tokio::time::timeout(Duration::from_secs(10), sudo).await;
    matches!(works, Ok(Ok(status)) if status.success()).then(|| vec!["sudo", "-n"])
}

async fn install_packages(
    privilege: &[&str],
    packages: &[String],
    say: &(dyn Fn(String) + Send + Sync),
) -> Result<(), SetupError> {
    let mut words = vec!["install", "-y", "-q", "--no-install-recommends"];
    words.extend(packages.iter().map(String::as_str));
    apt(privilege, &words, say).await
}

async fn apt(
    privilege: &[&str],
    words: &[&str],
    say: &(dyn Fn(String) + Send + Sync),
) -> Result<(), SetupError> {
    const DEADLINE: Duration = Duration::from_secs(900);
    // A machine that was just made often updates itself: whoever has the lock is waited for.
    let program = ["apt-get", "-o", "DPkg::Lock::Timeout=300"];
    let line: Vec<&str> =
        privilege.iter().copied().chain(program).chain(words.iter().copied()).collect();
    let command = line.join(" ");
    let failed = |reason: String, last: &[String]| SetupError::Apt {
        command: command.clone(),
        reason,
        last: last[last.len().saturating_sub(5)..].join(" / "),
    };
    let mut child = Command::new(line[0])
        .args(&line[1..])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string(), &[]))?;
    let mut said: Vec<String> = Vec::new();
    let ended = tokio::time::timeout(DEADLINE, async {
        let mut out = child.stdout.take().map(|pipe| BufReader::new(pipe).lines());
        let mut err = child.stderr.take().map(|pipe| BufReader::new(pipe).lines());
        loop {
            let line = tokio::select! {
                line = next(&mut out), if out.is_some() => line,
                line = next(&mut err), if err.is_some() => line,
                else => break,
            };
            if let Some(line) = line {
                if line.starts_with("Setting up ") || line.starts_with("Get:") {
                    say(line.clone());
                }
                said.push(line);
            }
        }
        child.wait().await
    })
    .await;
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failed(status.to_string(), &said)),
        Ok(Err(error)) => Err(failed(error.to_string(), &said)),
        Err(_) => Err(failed(format!("not done after {DEADLINE:?}"), &said)),
    }
}

/// The next line of a pipe; a pipe that has ended or broken is set to `None`.
async fn next<R: tokio::io::AsyncRead + Unpin>(
    lines: &mut Option<tokio::io::Lines<BufReader<R>>>,
) -> Option<String> {
    let line = match lines {
        Some(lines) => lines.next_line().await.ok().flatten(),
        None => None,
    };
    if line.is_none() {
        *lines = None;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_missing() {
        assert!(find_program("sh").is_some());
        let odd = requirement("xenrt-no-such-program", "nothing", "this test");
        assert_eq!(missing(&[odd, requirement("sh", "dash", "this test")]), [odd]);
    }

    #[tokio::test]
    async fn nothing_is_done_and_said_when_nothing_is_missing() {
        let say = |line: String| panic!("said {line:?}");
        install(&[requirement("sh", "dash", "this test")], &say).await.unwrap();
    }
}
