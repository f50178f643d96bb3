//! A host whose driver is libvirt's own for tests.

use std::sync::Arc;

use xenrt_core::lab::LabFile;
use xenrt_core::model::{Host, Toolstack as _};
use xenrt_libvirt::LibvirtToolstack;

/// A host, and the folder for what it makes. What libvirt has of it is gone with the last
/// connection.
pub(crate) struct World {
    pub(crate) host: Arc<dyn Host>,
    lab: LabFile,
    folder: tempfile::TempDir,
}

fn lab(uri: &str, folder: &std::path::Path, pool: &str) -> LabFile {
    let text = format!(
        "[[host]]\nname = \"driver\"\naddress = \"localhost\"\ntoolstack = \"libvirt\"\n\
         work_folder = {folder:?}\n\
         attributes = {{ libvirt_uri = {uri:?}, spare_interface = \"eth1\" }}\n\
         [host.deadlines]\nstate = \"30s\"\nboot = \"30s\"\ncommand = \"60s\"\ndevice = \"20s\"\n\
         suspend = \"60s\"\n\
         [host.guest_network]\nnetwork = \"default\"\n{pool}\n\
         [[host.images]]\nname = \"bare\"\naliases = [\"generic-linux\"]\nkinds = [\"hvm\"]\n\
         memory_mib = 16\n\
         [[host.images]]\nname = \"told\"\nkinds = [\"hvm\"]\nkernel = \"/boot/vmlinuz\"\n\
         address_command_line = \"ip={{address}}/{{prefix}}\"\nmemory_mib = 16\n"
    );
    LabFile::parse(&text, "lab.toml").unwrap()
}

impl World {
    /// `test:///default`, with the guest that it comes with. All tests of a process share it, as far
    /// as they run at the same time.
    pub(crate) async fn new() -> Self {
        Self::made("").await
    }

    /// The same, with two addresses for guests.
    pub(crate) async fn with_pool() -> Self {
        let pool = "pool = { first = \"10.0.2.101\", last = \"10.0.2.102\", prefix = 24, \
                    gateway = \"10.0.2.2\" }";
        Self::made(pool).await
    }

    async fn made(pool: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lab = lab("test:///default", &folder.path().join("work"), pool);
        let host = LibvirtToolstack::new().connect(&lab.hosts[0]).await.unwrap();
        Self { host, lab, folder }
    }

    /// The lab of the host alone.
    pub(crate) fn lab(&self) -> LabFile {
        self.lab.clone()
    }

    /// A file beside what the host makes.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}
