//! Hosts of libvirt with QEMU on this machine, closed off from the rest of it.
//!
//! Each host is a set of name spaces - mounts, processes, network - in which a `libvirtd` of its own
//! runs. What a user has of libvirt on this machine sees nothing of it and is not touched: folders,
//! networks, bridges and guests are the host's own. Hosts that are made together share one network,
//! so that guests can move between them. No root is needed: a user's own name space has one.
//!
//! The kernel ends everything in a host when the program that made it dies.

mod daemon;
mod space;

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use space::Space;

use crate::error::{IoContext as _, Result};
use crate::images::Images;
use crate::machine::Accelerator;

/// The bridge that guests are on, and the host on it.
pub const BRIDGE: &str = "xrtbr0";
/// The address of the hosts on the bridge of guests.
pub const BRIDGE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

/// How long a host may take until its daemon listens.
const STARTING: Duration = Duration::from_secs(60);

/// Hosts of libvirt in name spaces of one network. They end when this is dropped.
#[derive(Debug)]
pub struct LocalHosts {
    hosts: Vec<LocalHost>,
    folder: tempfile::TempDir,
}

/// One host of libvirt on this machine.
#[derive(Debug)]
pub struct LocalHost {
    number: usize,
    folder: PathBuf,
    space: Space,
    files: Arc<Files>,
}

/// What all hosts boot guests from.
#[derive(Debug)]
struct Files {
    kernel: PathBuf,
    ramdisk: PathBuf,
    key: PathBuf,
    shared: PathBuf,
    accelerator: Accelerator,
}

impl LocalHosts {
    /// Makes `count` hosts and waits until their daemons listen.
    ///
    /// `key` is the private key that guests of the images let in, and `accelerator` what runs them: a
    /// `/dev/kvm` alone does not say that it works.
    ///
    /// # Errors
    /// When this user may not make name spaces, or a daemon does not come up; it says what was said
    /// last.
    pub async fn start(
        images: &Images,
        key: &Path,
        accelerator: Accelerator,
        count: usize,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("xenrt-local-")
            .tempdir()
            .io("make a folder in", std::env::temp_dir())?;
        // QEMU of a host may be another user, who has to get through to its files.
        open_to_all(folder.path())?;
        let shared = folder.path().join("shared");
        fs::create_dir(&shared).io("create", &shared)?;
        let files = Arc::new(Files {
            kernel: images.kernel(),
            ramdisk: images.guest_of_qemu(),
            key: key.to_owned(),
            shared,
            accelerator,
        });
        let mut hosts = Self { hosts: Vec::new(), folder };
        for number in 1..=count {
            hosts.add(number, Arc::clone(&files)).await?;
        }
        Ok(hosts)
    }

    async fn add(&mut self, number: usize, files: Arc<Files>) -> Result<()> {
        let folder = self.folder.path().join(format!("host{number}"));
        fs::create_dir(&folder).io("create", &folder)?;
        let network = self.hosts.first().map(|host| &host.space);
        let space = Space::start(&folder, number, network, STARTING).await?;
        let host = LocalHost { number, folder, space, files };
        host.start_daemon().await?;
        self.hosts.push(host);
        Ok(())
    }

    /// The hosts, in order.
    pub fn iter(&self) -> impl Iterator<Item = &LocalHost> {
        self.hosts.iter()
    }
}

impl LocalHost {
    /// `qemuhost1`, `qemuhost2`, ...
    pub fn name(&self) -> String {
        format!("qemuhost{}", self.number)
    }

    /// Its name spaces.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The URI of its daemon, for programs of this machine and for daemons of the other hosts.
    pub fn uri(&self) -> String {
        format!("qemu+unix:///system?socket={}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("run/libvirt-sock")
    }

    /// What its daemon wrote.
    pub fn log(&self) -> PathBuf {
        self.folder.join("libvirtd.log")
    }

    /// A folder that the host alone has; each of the others has one in the same place.
    pub fn work_folder(&self) -> PathBuf {
        self.folder.with_file_name("work")
    }

    /// An interface that networks of the host can be put on.
    pub fn spare_interface(&self) -> String {
        format!("spare{}", self.number)
    }

    /// A folder that all hosts have.
    pub fn shared_folder(&self) -> &Path {
        &self.files.shared
    }

    /// The kernel of its guest image.
    pub fn kernel(&self) -> &Path {
        &self.files.kernel
    }

    /// The initramfs of its guest image.
    pub fn ramdisk(&self) -> &Path {
        &self.files.ramdisk
    }

    /// What runs its guests.
    pub fn accelerator(&self) -> Accelerator {
        self.files.accelerator
    }

    /// The private key that its guests let in.
    pub fn key(&self) -> &Path {
        &self.files.key
    }
}

fn open_to_all(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).io("change the mode of", path)
}
