//! `xl list -l`: the toolstack's configuration of its domains.

use serde::Deserialize;
use uuid::Uuid;
use xenrt_core::model::{GuestKind, MacAddress, Memory};
use xenrt_core::{Error, Result};

use super::not_understood;

/// One domain of `xl list -l`, the parts that this library uses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DomainConfig {
    /// The domain's number.
    pub(crate) domid: u32,
    /// Its name.
    pub(crate) name: String,
    /// Its identity; dom0 has none.
    pub(crate) uuid: Option<Uuid>,
    /// How it is virtualised.
    pub(crate) kind: GuestKind,
    /// vCPUs that it may use now.
    pub(crate) vcpus: u32,
    /// The most vCPUs.
    pub(crate) max_vcpus: u32,
    /// The memory that it should have now.
    pub(crate) memory: Memory,
    /// The most memory.
    pub(crate) max_memory: Memory,
    /// The kernel that it was started from, where the toolstack loaded it.
    pub(crate) kernel: Option<String>,
    /// The initial ramdisk.
    pub(crate) ramdisk: Option<String>,
    /// The kernel's command line.
    pub(crate) command_line: String,
    /// Disks.
    pub(crate) disks: Vec<ConfigDisk>,
    /// VIFs: number, address, bridge.
    pub(crate) nics: Vec<(u32, MacAddress, String)>,
}

/// One disk of `xl list -l`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigDisk {
    /// The device name: `xvda`.
    pub(crate) device: String,
    /// The file or block device; empty for an empty drive.
    pub(crate) path: String,
    /// Whether the guest may write.
    pub(crate) read_only: bool,
}

#[derive(Deserialize)]
struct Domain {
    domid: u32,
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    c_info: CreateInfo,
    b_info: BuildInfo,
    #[serde(default)]
    disks: Vec<DiskEntry>,
    #[serde(default)]
    nics: Vec<Nic>,
}

#[derive(Deserialize)]
struct CreateInfo {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    uuid: Option<Uuid>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct BuildInfo {
    max_vcpus: Option<u32>,
    avail_vcpus: Vec<u32>,
    max_memkb: u64,
    target_memkb: u64,
    kernel: Option<String>,
    ramdisk: Option<String>,
    cmdline: Option<String>,
}

#[derive(Deserialize)]
struct DiskEntry {
    #[serde(default)]
    pdev_path: Option<String>,
    vdev: String,
    #[serde(default)]
    readwrite: u32,
}

#[derive(Deserialize)]
struct Nic {
    #[serde(default)]
    devid: u32,
    mac: MacAddress,
    #[serde(default)]
    bridge: Option<String>,
}

/// Understands the output of `xl list -l`, of one domain as well as of all.
pub(crate) fn domain_configs(text: &str) -> Result<Vec<DomainConfig>> {
    let domains: Vec<Domain> =
        serde_json::from_str(text.trim()).map_err(|error| Error::UnexpectedOutput {
            what: "xl list -l".to_owned(),
            expected: format!("a list of domains as JSON ({error})"),
            found: xenrt_core::remote::shorten_middle(text.trim(), 200),
        })?;
    domains.into_iter().map(domain_config).collect()
}

fn domain_config(domain: Domain) -> Result<DomainConfig> {
    let Domain { domid, config: Config { c_info, b_info, disks, nics } } = domain;
    let kind = match c_info.kind.as_str() {
        "pv" => GuestKind::Pv,
        "pvh" => GuestKind::Pvh,
        "hvm" => GuestKind::Hvm,
        other => return Err(not_understood("xl list -l", "the type pv, pvh or hvm", other)),
    };
    let vcpus = u32::try_from(b_info.avail_vcpus.len()).unwrap_or(u32::MAX);
    Ok(DomainConfig {
        domid,
        name: c_info.name,
        uuid: c_info.uuid,
        kind,
        vcpus,
        // libxl leaves out what is at its default, and the default is one vCPU.
        max_vcpus: b_info.max_vcpus.unwrap_or(1).max(vcpus),
        memory: Memory::kib(b_info.target_memkb),
        max_memory: Memory::kib(b_info.max_memkb),
        kernel: b_info.kernel,
        ramdisk: b_info.ramdisk,
        command_line: b_info.cmdline.unwrap_or_default(),
        disks: disks
            .into_iter()
            .map(|disk| ConfigDisk {
                device: disk.vdev,
                path: disk.pdev_path.unwrap_or_default(),
                read_only: disk.readwrite == 0,
            })
            .collect(),
        nics: nics
            .into_iter()
            .map(|nic| (nic.devid, nic.mac, nic.bridge.unwrap_or_default()))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_recorded_list_is_understood() {
        let configs = domain_configs(include_str!("../../tests/data/xl-list-l.txt")).unwrap();
        assert_eq!(configs.len(), 3);
        assert_eq!((configs[0].name.as_str(), configs[0].uuid), ("Domain-0", None));
        insta::assert_debug_snapshot!(configs[2]);
    }

    #[test]
    fn what_is_not_the_list_is_refused_with_its_text() {
        for noise in ["", "[{\"domid\": -1}]", "libxl: error: no", "{}"] {
            assert!(
                matches!(domain_configs(noise), Err(Error::UnexpectedOutput { .. })),
                "{noise}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = domain_configs(&text);
        }
    }
}
