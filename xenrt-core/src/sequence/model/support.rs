//! What a file asks for that the library cannot carry out.

use super::{
    GuestAction, GuestStep, HostStep, NotCarriedOut, Place, Prepare, Sequence, StorageStep,
    StorageType,
};

impl Sequence {
    /// Everything that the file asks for and that no part of this library can do, in the order of
    /// the file. A run of it is not what the file means, unless the lab has it already: whoever
    /// runs it should say so. Empty for a file that can be carried out as it is.
    pub fn not_carried_out(&self) -> Vec<NotCarriedOut> {
        let mut list = List(Vec::new());
        for prepare in [&self.preprepare, &self.prepare] {
            list.prepare(prepare);
        }
        for script in &self.scripts {
            list.add(format!("script {:?}", &*script.name), NO_SCRIPTS, script.place);
        }
        list.0.sort_by_key(|item| item.place.offset);
        list.0
    }
}

const NO_CLOUD: &str = "there is no toolstack for clouds";
const NO_ARRAY: &str = "storage arrays are not set up";
const NO_INSTALL: &str = "hosts are used as the lab has them, nothing is installed on them";
const NO_GUEST_METHOD: &str = "it is a method of the original's guests";
const NO_SHARED: &str = "a lab has no host that several runs share";
const NO_VLANS: &str = "VLANs of the lab are not given to runs";
const NO_SCRIPTS: &str = "scripts are not run in guests";
const NO_SRIOV: &str = "virtual functions are not assigned";
const NO_PACKAGES: &str = "nothing is installed in guests beside their image";
const NO_IMPORT: &str = "guests are not imported from files";

struct List(Vec<NotCarriedOut>);

impl List {
    fn add(&mut self, what: impl Into<String>, reason: &'static str, place: Place) {
        self.0.push(NotCarriedOut { what: what.into(), reason, place });
    }

    fn prepare(&mut self, prepare: &Prepare) {
        for cloud in &prepare.clouds {
            self.add("<cloud>", NO_CLOUD, cloud.place);
        }
        for machine in &prepare.cloud_machines {
            let name = machine.name.as_deref().or(machine.distro.as_deref()).unwrap_or("");
            self.add(format!("cloud machine {name:?}"), NO_CLOUD, machine.place);
        }
        for blueprint in &prepare.blueprints {
            self.add(format!("blueprint {:?}", &*blueprint.name), NO_CLOUD, blueprint.place);
        }
        for vlan in &prepare.vlans {
            self.add(format!("vlan {:?}", &*vlan.name), NO_VLANS, vlan.place);
        }
        for shared in &prepare.shared_hosts {
            self.add("<sharedhost>", NO_SHARED, shared.place);
        }
        for host in prepare.hosts.iter().chain(prepare.all_hosts.iter().map(|all| &all.host)) {
            self.host(host);
        }
        for pool in &prepare.pools {
            self.storage(&pool.storage);
            self.guests(pool.guests.iter().chain(&pool.templates));
        }
    }

    fn host(&mut self, host: &HostStep) {
        if let Some(nested) = &host.nested {
            let name = host.alias.clone().unwrap_or_else(|| host.name());
            self.add(format!("nested host {name}"), NO_INSTALL, nested.place);
        }
        let said = installed(host);
        if !said.is_empty() {
            self.add(
                format!("installation of a host ({})", said.join(", ")),
                NO_INSTALL,
                host.place,
            );
        }
        self.storage(&host.storage);
        self.guests(host.guests.iter().chain(&host.templates));
    }

    fn storage(&mut self, storage: &[StorageStep]) {
        for storage in storage {
            let array = matches!(
                storage.kind,
                StorageType::NetApp
                    | StorageType::EqualLogic
                    | StorageType::StorageLink(_)
                    | StorageType::IntegratedStorageLink(_)
            );
            if array {
                let what = format!("storage {:?} of type {}", &*storage.name, storage.kind.name());
                self.add(what, NO_ARRAY, storage.place);
            }
        }
    }

    fn guests<'g>(&mut self, guests: impl Iterator<Item = &'g GuestStep>) {
        for guest in guests {
            let name = &guest.name;
            if let Some(file) = &guest.import {
                self.add(format!("guest {name:?} from {:?}", file.name), NO_IMPORT, guest.place);
            }
            if !guest.packages.is_empty() {
                self.add(format!("packages of guest {name:?}"), NO_PACKAGES, guest.place);
            }
            if guest.vifs.iter().any(|vif| vif.virtual_function_of.is_some()) {
                self.add(format!("virtual function of guest {name:?}"), NO_SRIOV, guest.place);
            }
            for after in &guest.after_install {
                if let GuestAction::Other(call) = &after.action {
                    let what = format!("postinstall {:?} of guest {name:?}", call.method);
                    self.add(what, NO_GUEST_METHOD, after.place);
                }
            }
        }
    }
}

/// The words of what is to be installed on a host.
fn installed(host: &HostStep) -> Vec<&'static str> {
    let install = &host.install;
    let said = [
        ("productType", install.product.is_some()),
        ("productVersion", install.product_version.is_some()),
        ("version", install.version.is_some()),
        ("installsr", install.local_storage.is_some()),
        ("ipv6", install.ipv6.is_some()),
        ("diskCount", install.disks.is_some()),
        ("license", install.license != super::License::Unsaid),
        ("suppackcds", !install.supplemental_packs.is_empty()),
        ("iommu", install.iommu),
        ("disablefw", install.disable_firewall.is_some()),
        ("cpufreqgovernor", install.cpu_governor.is_some()),
        ("extraConfig", install.extra.is_some()),
    ];
    said.into_iter().filter(|(_, said)| *said).map(|(word, _)| word).collect()
}
