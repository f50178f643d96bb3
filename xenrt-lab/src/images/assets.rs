//! The provisioning scripts, as they are in `assets/`.

use std::fs;
use std::path::Path;

use crate::error::{IoContext as _, Result};

macro_rules! assets {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../assets/", $name)))),*]
    };
}

/// Name and content of every asset.
const ASSETS: &[(&str, &str)] = assets![
    "build-dom0.sh",
    "build-guest.sh",
    "common.sh",
    "dom0/block.sh",
    "dom0/cpu-model.xml",
    "dom0/identity.sh",
    "dom0/network.sh",
    "dom0/ssh_config",
    "dom0/vif-bridge.sh",
    "dom0/vif.rules",
    "dom0/xen-daemons.sh",
    "dom0/xen.service",
    "dom0/xenrt-network.service",
    "extract-kernel.sh",
    "guest/announce.sh",
    "guest/hotplug.rules",
    "guest/network.sh",
    "guest/power-button.sh",
    "guest/tiny-hotplug.sh",
    "guest/tiny-inittab",
    "guest/tiny-rc.sh",
    "guest/udhcpc.sh",
    "guest/xenrt-announce.service",
    "guest/xenrt-network@.service",
    "initrd-init.sh",
    "sshd.conf",
];

/// Writes the assets below a directory, readable for mmdebstrap's user name space.
pub(super) fn write(directory: &Path) -> Result<()> {
    for (name, content) in ASSETS {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).io("create", parent)?;
        }
        fs::write(&path, content).io("write", &path)?;
    }
    Ok(())
}

/// Feeds every asset to a hash.
pub(super) fn hash(hasher: &mut blake3::Hasher) {
    for (name, content) in ASSETS {
        hasher.update(name.as_bytes());
        hasher.update(&[0]);
        hasher.update(blake3::hash(content.as_bytes()).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_in_assets_is_listed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        let mut found = Vec::new();
        for folder in ["", "dom0", "guest"] {
            for entry in fs::read_dir(root.join(folder)).unwrap().flatten() {
                if entry.file_type().unwrap().is_file() {
                    let name = entry.file_name().into_string().unwrap();
                    found.push(Path::new(folder).join(name).to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        assert_eq!(found, ASSETS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }
}
