//! A host whose driver is libvirt's own for tests.

use std::sync::Arc;

use xenrt_core::lab::{HostEntry, LabFile};
use xenrt_core::model::{Host, Toolstack as _};
use xenrt_libvirt::LibvirtToolstack;

/// A host, and the folder for what it makes. What libvirt has of it is gone with the last
/// connection.
pub(crate) struct World {
    pub(crate) host: Arc<dyn Host>,
    _folder: tempfile::TempDir,
}

pub(crate) fn entry(uri: &str, folder: &std::path::Path) -> HostEntry {
    let text = format!(
        "[[host]]\nname = \"driver\"\naddress = \"localhost\"\ntoolstack = \"libvirt\"\n\
         work_folder = {folder:?}\n\
         attributes = {{ libvirt_uri = {uri:?}, spare_interface = \"eth1\" }}\n\
         [host.deadlines]\nstate = \"30s\"\nboot = \"30s\"\ncommand = \"60s\"\ndevice = \"20s\"\n\
         suspend = \"60s\"\n\
         [host.guest_network]\nnetwork = \"default\"\n\
         [[host.images]]\nname = \"bare\"\naliases = [\"generic-linux\"]\nkinds = [\"hvm\"]\n\
         memory_mib = 16\n"
    );
    LabFile::parse(&text, "lab.toml").unwrap().hosts.remove(0)
}

impl World {
    /// `test:///default`, without the guest that it comes with: that one has more memory than its
    /// host.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let entry = entry("test:///default", &folder.path().join("work"));
        let host = LibvirtToolstack::new().connect(&entry).await.unwrap();
        if let Ok(guest) = host.guest("test").await {
            guest.ensure_deleted().await.unwrap();
        }
        Self { host, _folder: folder }
    }
}
