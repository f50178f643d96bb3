//! Which product and release a host runs, and what follows from that.

use std::collections::BTreeMap;
use std::fmt;

use xenrt_core::Result;
use xenrt_core::model::{Abilities, Ability};

use crate::parse::{Record, values};

/// The product and release of a host, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// `XCP-ng`, `XenServer`, `Citrix Hypervisor`.
    pub brand: String,
    /// `8.3.0`.
    pub version: String,
    /// Major and minor version of the API.
    pub api: (u32, u32),
    /// The version of Xen.
    pub xen: String,
    /// The kernel of the control domain.
    pub kernel: String,
}

/// As people write it: `XCP-ng 8.3.0 (API 2.23)`.
impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (API {}.{})", self.brand, self.version, self.api.0, self.api.1)
    }
}

impl Product {
    /// From a record of `host-list`.
    pub(crate) fn read(host: &Record<'_>) -> Result<Self> {
        let software = values::map(host.require("software-version")?);
        let named = |name: &str| software.get(name).cloned().unwrap_or_default();
        Ok(Self {
            brand: named("product_brand"),
            version: named("product_version"),
            api: (host.parse("API-version-major")?, host.parse("API-version-minor")?),
            xen: named("xen"),
            kernel: named("linux"),
        })
    }

    /// Whether VMs have the field `domain-type`; before, `HVM-boot-policy` alone tells HVM from PV.
    pub(crate) fn has_domain_type(&self) -> bool {
        // XenServer 7.5.
        self.api >= (2, 10)
    }

    /// What a host with this product, these capabilities and these restrictions of its pool's
    /// licence can do.
    pub(crate) fn abilities(
        &self,
        capabilities: &[&str],
        restrictions: &BTreeMap<&str, String>,
    ) -> Abilities {
        let mut abilities = Abilities::of(Ability::ALL);
        if !capabilities.iter().any(|capability| capability.starts_with("hvm-")) {
            let why = "the processor offers Xen no hardware virtualisation (no hvm- capability)";
            abilities.remove(Ability::Hvm, why);
            abilities.remove(Ability::Pvh, why);
        } else if !self.has_domain_type() {
            abilities.remove(Ability::Pvh, format!("{self} has no PVH guests"));
        }
        if !capabilities.contains(&"xen-3.0-x86_64") {
            abilities.remove(Ability::Pv, "this Xen has no PV guests (no xen-3.0-x86_64)");
        }
        abilities.remove(Ability::Save, "xapi keeps a suspended guest on its own storage alone");
        abilities.remove(Ability::ConsoleLog, "xapi does not record the consoles of guests");
        for (restriction, ability) in [
            ("restrict_dmc", Ability::MemoryHotplug),
            ("restrict_set_vcpus_number_live", Ability::VcpuHotplug),
            ("restrict_xen_motion", Ability::LiveMigration),
            ("restrict_pooling", Ability::Pool),
        ] {
            if restrictions.get(restriction).is_some_and(|value| value == "true") {
                abilities.remove(ability, format!("the licence of the pool says {restriction}"));
            }
        }
        abilities
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(api: (u32, u32)) -> Product {
        let (brand, version) = ("XenServer".to_owned(), "7.1.2".to_owned());
        Product { brand, version, api, xen: "4.7".into(), kernel: "4.4".into() }
    }

    #[test]
    fn abilities_follow_from_release_processor_and_licence() {
        let all = ["xen-3.0-x86_64", "hvm-3.0-x86_64"];
        let licence = BTreeMap::from([("restrict_dmc", "true".to_owned())]);
        let new = product((2, 23)).abilities(&all, &BTreeMap::new());
        assert!(new.has(Ability::Pvh) && new.has(Ability::MemoryHotplug));
        let old = product((2, 6)).abilities(&all, &licence);
        assert!(!old.has(Ability::Pvh) && old.has(Ability::Hvm) && old.has(Ability::Pv));
        assert!(old.reason(Ability::Pvh).unwrap().contains("XenServer 7.1.2 (API 2.6)"));
        assert!(old.reason(Ability::MemoryHotplug).unwrap().contains("restrict_dmc"));
        let bare = product((2, 23)).abilities(&["xen-3.0-x86_64"], &BTreeMap::new());
        assert!(!bare.has(Ability::Hvm) && !bare.has(Ability::Pvh));
        assert!(!new.has(Ability::Save));
    }
}
