//! The programs that the lab runs.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{LabError, Result};
use crate::wait::run;

/// Debian puts administrators' tools here, and many a user's `PATH` leaves them out.
const MORE_DIRECTORIES: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Program, Debian package.
const WANTED: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mmdebstrap", "mmdebstrap"),
    ("mkfs.ext4", "e2fsprogs"),
    ("debugfs", "e2fsprogs"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("apt-get", "apt"),
    ("apt-cache", "apt"),
];

/// What mmdebstrap needs besides, where it has no root: name spaces with more than one user.
const WANTED_WITHOUT_ROOT: &[(&str, &str)] = &[("newuidmap", "uidmap")];

/// Where the lab's programs are.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) qemu: PathBuf,
    pub(crate) mmdebstrap: PathBuf,
    pub(crate) debugfs: PathBuf,
    pub(crate) ssh: PathBuf,
    pub(crate) ssh_keygen: PathBuf,
    pub(crate) apt_get: PathBuf,
    pub(crate) apt_cache: PathBuf,
    /// What `qemu-system-x86_64 --version` says first.
    pub(crate) qemu_version: String,
}

impl Tools {
    /// Looks for every program.
    ///
    /// # Errors
    ///
    /// [`LabError::MissingTools`] names all that are missing, with the packages that bring them.
    pub(crate) async fn find() -> Result<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let directories: Vec<PathBuf> =
            env::split_paths(&path).chain(MORE_DIRECTORIES.iter().map(PathBuf::from)).collect();
        let root = nix::unistd::Uid::effective().is_root();
        let more = if root { &[] } else { WANTED_WITHOUT_ROOT };
        let missing: Vec<_> = WANTED
            .iter()
            .chain(more)
            .filter(|(program, _)| find(program, &directories).is_none())
            .collect();
        if !missing.is_empty() {
            let mut packages: Vec<String> =
                missing.iter().map(|(_, package)| (*package).to_owned()).collect();
            packages.dedup();
            return Err(LabError::MissingTools {
                programs: missing.iter().map(|(program, _)| (*program).to_owned()).collect(),
                packages,
            });
        }
        let get = |program: &str| find(program, &directories).unwrap_or_else(|| program.into());
        let qemu = get("qemu-system-x86_64");
        let version = run(&qemu, &["--version"], Duration::from_secs(20)).await?;
        let version = version.output("qemu-system-x86_64 --version")?;
        Ok(Self {
            qemu,
            mmdebstrap: get("mmdebstrap"),
            debugfs: get("debugfs"),
            ssh: get("ssh"),
            ssh_keygen: get("ssh-keygen"),
            apt_get: get("apt-get"),
            apt_cache: get("apt-cache"),
            qemu_version: version.lines().next().unwrap_or_default().to_owned(),
        })
    }
}

fn find(program: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    directories.iter().map(|directory| directory.join(program)).find(|path: &PathBuf| {
        path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    })
}

/// Free space on the disk that holds `path`, in MiB.
pub(crate) fn free_mib(path: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(path).ok()?;
    Some(stat.blocks_available() * stat.fragment_size() / (1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_are_found() {
        let directories = [PathBuf::from("/etc"), PathBuf::from("/bin")];
        assert_eq!(find("sh", &directories), Some("/bin/sh".into()));
        assert_eq!(find("passwd-", &directories), None);
    }
}
