//! The ssh keys of a cache directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{IoContext as _, Result};
use crate::paths::Lock;
use crate::tools::Tools;
use crate::wait::run;

/// The key that opens every machine of the lab, and the host keys that they show. They are made once
/// for a cache directory and never leave it, except into its own images.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    directory: PathBuf,
}

/// File names: the login key, dom0's host key, the guests' host key.
const NAMES: [&str; 3] = ["id_ed25519", "dom0_ed25519", "guest_ed25519"];

impl Keys {
    /// The keys in `directory`, made now if they are missing.
    pub(crate) async fn open(tools: &Tools, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).io("create", directory)?;
        let keys = Self { directory: directory.to_owned() };
        if keys.complete() {
            return Ok(keys);
        }
        let lock = directory.join("lock");
        let _lock = Lock::take(&lock, Duration::from_secs(60), || {}).await?;
        for name in NAMES {
            let path = directory.join(name);
            if path.exists() && path.with_extension("pub").exists() {
                continue;
            }
            // ssh-keygen asks before it overwrites half a pair.
            let _ = fs::remove_file(&path);
            let file = path.display().to_string();
            let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", "xenrt-lab", "-f", &file];
            run(&tools.ssh_keygen, &arguments, Duration::from_secs(30))
                .await?
                .output("making an ssh key")?;
        }
        Ok(keys)
    }

    fn complete(&self) -> bool {
        NAMES.iter().all(|name| {
            let path = self.directory.join(name);
            path.exists() && path.with_extension("pub").exists()
        })
    }

    /// The private key that opens every machine of the lab.
    pub(crate) fn login(&self) -> PathBuf {
        self.directory.join(NAMES[0])
    }

    /// Copies the keys to where the hooks find them.
    pub(super) fn copy_to(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).io("create", directory)?;
        for name in NAMES {
            for file in [name.to_owned(), format!("{name}.pub")] {
                let from = self.directory.join(&file);
                fs::copy(&from, directory.join(&file)).io("copy", &from)?;
            }
        }
        Ok(())
    }

    /// Feeds the public halves to a hash.
    pub(super) fn hash(&self, hasher: &mut blake3::Hasher) -> Result<()> {
        for name in NAMES {
            let path = self.directory.join(name).with_extension("pub");
            hasher.update(&fs::read(&path).io("read", &path)?);
        }
        Ok(())
    }

    /// The lines of a `known_hosts` file for a dom0 that answers on `port` of 127.0.0.1, and for the
    /// guests behind it.
    pub(crate) fn known_hosts(&self, port: u16) -> Result<String> {
        let public = |name: &str| {
            let path = self.directory.join(name).with_extension("pub");
            let line = fs::read_to_string(&path).io("read", &path)?;
            Ok(line.split_ascii_whitespace().take(2).collect::<Vec<_>>().join(" "))
        };
        Ok(format!(
            "[127.0.0.1]:{port},192.168.99.* {}\n10.0.2.* {}\n",
            public(NAMES[1])?,
            public(NAMES[2])?
        ))
    }
}
