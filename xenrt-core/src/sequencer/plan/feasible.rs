//! What a sequence prepares that this library cannot carry out: one list, for those who look at a
//! file and for those who run it.

use super::{Plan, PlanError, PlanProblem};
use crate::sequence::{
    Addressing, AfterInstall, Architecture, GuestAction, GuestStep, HostInstall, HostStep,
    NetworkRole, NotCarriedOut, PhysicalNetwork, Place, PoolStep, Prepare, Sequence, StorageOption,
    StorageStep, Topology,
};
use crate::sequencer::prepare::{can_be_made, can_carry_out};

const NOT_SHARED: &str = "a host that other runs use too is left as it is";
const NO_DRIVER: &str = "no toolstack has a driver for it";
const EXPORTED: &str = "storage is made of what the lab has, and none is exported for a run";
const DRIVER: &str = "the driver of the storage decides";
const MANAGED: &str = "the host is managed over its primary network, which is left as it is";
const NO_CLOUD: &str = "there is no toolstack for clouds";

impl Sequence {
    /// What the preparation asks for and this library cannot carry out, in the order of the file.
    /// Empty for a file that can be carried out as it is. A run of what it lists fails before
    /// anything is built, see [`Plan::carried_out`].
    pub fn not_carried_out(&self) -> Vec<NotCarriedOut> {
        Found::of([&self.preprepare, &self.prepare])
    }

    /// What the file says about the installation of hosts, a line for each host: hosts of a lab are
    /// used as they are. Whoever runs it should say so.
    pub fn left_to_the_lab(&self) -> Vec<String> {
        let hosts = [&self.preprepare, &self.prepare].into_iter().flat_map(|prepare| {
            prepare.hosts.iter().chain(prepare.all_hosts.iter().map(|all| &all.host))
        });
        let networks = [&self.preprepare, &self.prepare];
        let networks = networks.into_iter().flat_map(management_left_to_the_lab);
        hosts.filter_map(left_to_the_lab).chain(networks).collect()
    }
}

impl Plan {
    /// What the preparation asks for and this library cannot carry out, in the order of the file. A
    /// run of the plan fails before anything is built and names it.
    pub fn not_carried_out(&self) -> Vec<NotCarriedOut> {
        Found::of([&self.preprepare, &self.prepare])
    }

    /// Nothing, where the plan can be carried out.
    ///
    /// # Errors
    /// All that [cannot](Self::not_carried_out), with its place, as a program shows it before a
    /// run.
    pub fn carried_out(&self) -> Result<(), PlanError> {
        let problems = self.not_carried_out().into_iter().map(|item| {
            let message = format!("{} cannot be carried out: {}", item.what, item.reason);
            PlanProblem::new(item.place, message)
        });
        let problems: Vec<PlanProblem> = problems.collect();
        if problems.is_empty() {
            return Ok(());
        }
        Err(PlanError { file: self.file.clone(), problems })
    }
}

/// What a file says about the installation of a host, for a warning: hosts of a lab are used as
/// they are.
pub(super) fn left_to_the_lab(host: &HostStep) -> Option<String> {
    let unsaid = HostInstall::default();
    let HostInstall {
        product,
        product_version,
        version,
        local_storage,
        ipv4,
        ipv6,
        without_ipv4,
        disks,
        license,
        default_license,
        without_isos,
        supplemental_packs,
        iommu,
        disable_firewall,
        cpu_governor,
        extra,
    } = &host.install;
    let said = [
        (product.is_some(), "productType"),
        (product_version.is_some(), "productVersion"),
        (version.is_some(), "version"),
        (local_storage.is_some(), "installsr"),
        (*ipv4 != unsaid.ipv4, "dhcp"),
        (ipv6.is_some(), "ipv6"),
        (*without_ipv4, "noipv4"),
        (disks.is_some(), "diskCount"),
        (*license != unsaid.license, "license"),
        (default_license.is_some(), "defaultlicense"),
        (without_isos.is_some(), "noisos"),
        (!supplemental_packs.is_empty(), "suppackcds"),
        (*iommu, "iommu"),
        (disable_firewall.is_some(), "disablefw"),
        (cpu_governor.is_some(), "cpufreqgovernor"),
        (extra.is_some(), "extraConfig"),
    ];
    let said: Vec<&str> = said.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    (!said.is_empty()).then(|| {
        format!(
            "line {}: the lab's hosts are used as they are: {} of {} is not looked at",
            host.place.line,
            said.join(", "),
            host.name()
        )
    })
}

/// How a file would have hosts addressed on the network that they are managed over, for a warning.
pub(super) fn management_left_to_the_lab(prepare: &Prepare) -> Vec<String> {
    let of_hosts = prepare.hosts.iter().chain(prepare.all_hosts.iter().map(|all| &all.host));
    let of_hosts = of_hosts.filter_map(|host| host.topology.as_ref());
    let of_pools = prepare.pools.iter().filter_map(|pool| pool.topology.as_ref());
    let networks = of_hosts.chain(of_pools).flat_map(|topology| &topology.networks);
    let is_said = |physical: &&PhysicalNetwork| {
        physical.is_primary_as_it_is()
            && [physical.uses.management, physical.uses.storage].contains(&Some(Addressing::Static))
    };
    let warning = |physical: &PhysicalNetwork| {
        format!(
            "line {}: the addresses of hosts on their primary network are the lab's: `static` is \
             not looked at",
            physical.place.line
        )
    };
    networks.filter(is_said).map(warning).collect()
}

#[derive(Default)]
struct Found(Vec<NotCarriedOut>);

impl Found {
    fn of(prepares: [&Prepare; 2]) -> Vec<NotCarriedOut> {
        let mut found = Self::default();
        prepares.into_iter().for_each(|prepare| found.prepare(prepare));
        found.0.sort_by_key(|item| item.place);
        found.0
    }

    fn add(&mut self, what: impl Into<String>, reason: &'static str, place: Place) {
        self.0.push(NotCarriedOut { what: what.into(), reason, place });
    }

    fn prepare(&mut self, prepare: &Prepare) {
        prepare.hosts.iter().for_each(|host| self.host(host));
        // Those of a plan are hosts already.
        prepare.all_hosts.iter().for_each(|all| self.host(&all.host));
        prepare.pools.iter().for_each(|pool| self.pool(pool));
        for guest in prepare.shared_hosts.iter().flat_map(|shared| &shared.guests) {
            self.guest(guest);
            let name = &guest.name;
            let mut add = |is: bool, what: &str| {
                if is {
                    self.add(format!("{what} of the guest {name:?}"), NOT_SHARED, guest.place);
                }
            };
            add(guest.storage.is_some(), "<storage>");
            let converted = |after: &AfterInstall| after.action == GuestAction::ConvertToTemplate;
            add(guest.after_install.iter().any(converted), "<postinstall> convertToTemplate");
        }
        prepare.clouds.iter().for_each(|cloud| self.add("<cloud>", NO_CLOUD, cloud.place));
        for machine in &prepare.cloud_machines {
            self.add("<template> or <instance> of a cloud", NO_CLOUD, machine.place);
        }
        for blueprint in &prepare.blueprints {
            let what = format!("<blueprint name={:?}>", blueprint.name);
            self.add(what, "ScaleXtreme is no more", blueprint.place);
        }
    }

    fn host(&mut self, host: &HostStep) {
        if let Some(nested) = &host.nested {
            let what = format!("the host {} in a guest", host.name());
            self.add(what, "hosts are the lab's", nested.place);
        }
        host.storage.iter().for_each(|storage| self.storage(storage));
        self.topology(host.topology.as_ref());
        host.guests.iter().for_each(|guest| self.guest(guest));
        host.templates.iter().for_each(|template| self.guest(template));
    }

    fn pool(&mut self, pool: &PoolStep) {
        if pool.ssl {
            let what = format!("`ssl` of the pool {}", pool.name());
            self.add(what, "what hosts of a pool say to one another is theirs", pool.place);
        }
        pool.storage.iter().for_each(|storage| self.storage(storage));
        self.topology(pool.topology.as_ref());
        pool.guests.iter().for_each(|guest| self.guest(guest));
        pool.templates.iter().for_each(|template| self.guest(template));
    }

    fn storage(&mut self, storage: &StorageStep) {
        let what = format!("<storage type={:?}>", storage.kind.name());
        if !can_be_made(storage.kind) {
            self.add(what, NO_DRIVER, storage.place);
            return;
        }
        let mut add = |is: bool, part: &str, reason| {
            if is {
                self.add(format!("{part} of {what}"), reason, storage.place);
            }
        };
        for option in &storage.options {
            let (part, reason) = match option {
                StorageOption::Device(_) | StorageOption::NfsVersion4 => continue,
                StorageOption::FromController => ("`iet`", EXPORTED),
                StorageOption::FromGuest => ("`vm`", EXPORTED),
                StorageOption::FromHost { .. } => ("`host-`", EXPORTED),
                StorageOption::OwnUser => ("`cifsuser`", "users of a server are the lab's"),
                StorageOption::Jumbo => ("`jumbo`", "the frames of a network are its <PHYSICAL>'s"),
                StorageOption::MppRdac => ("`mpprdac`", DRIVER),
                StorageOption::Initiators(_) => ("`initiatorcount`", DRIVER),
                StorageOption::Thin => ("`thin`", DRIVER),
                StorageOption::ThinInitial(_) => ("`thin_init`", DRIVER),
                StorageOption::ThinQuantum(_) => ("`thin_quan`", DRIVER),
                StorageOption::NoSubfolder => ("`nosubdir`", DRIVER),
                StorageOption::FileBased => ("`filesr`", DRIVER),
            };
            add(true, part, reason);
        }
        add(storage.block_backend_pages.is_some(), "`blkbackpoolsize`", DRIVER);
        add(storage.exporter_host.is_some(), "`vmhost`", EXPORTED);
        add(storage.size.is_some(), "`size`", EXPORTED);
    }

    /// What of a `<NETWORK>` is beyond what [the preparation](crate::sequencer) does.
    fn topology(&mut self, topology: Option<&Topology>) {
        let Some(topology) = topology else { return };
        if topology.controller.is_some() {
            let reason = "there are no controllers of switches";
            self.add("`controller` of <NETWORK>", reason, topology.place);
        }
        for physical in &topology.networks {
            let place = physical.place;
            let primary = physical.is_primary_as_it_is();
            if physical.network == NetworkRole::Primary && !primary {
                self.add("a bond of <PHYSICAL network=\"NPRI\">", MANAGED, place);
            }
            if primary && physical.jumbo {
                self.add("`jumbo` of <PHYSICAL network=\"NPRI\">", MANAGED, place);
            }
            if !primary && physical.uses.management.is_some() {
                let what = format!("<MANAGEMENT> of {}", physical.network.word());
                self.add(what, MANAGED, place);
            }
            for vlan in &physical.vlans {
                let word = vlan.network.word();
                if vlan.uses.management.is_some() {
                    self.add(format!("<MANAGEMENT> of the VLAN {word}"), MANAGED, vlan.place);
                }
                if vlan.uses.storage == Some(Addressing::Static) {
                    let what = format!("a static address of <STORAGE> on the VLAN {word}");
                    self.add(what, "the lab has addresses for interfaces alone", vlan.place);
                }
            }
        }
    }

    fn guest(&mut self, guest: &GuestStep) {
        let name = &guest.name;
        let mut add = |is: bool, what: &str, reason| {
            if is {
                self.add(format!("{what} of the guest {name:?}"), reason, guest.place);
            }
        };
        let is_32_bit = guest.architecture == Some(Architecture::X86);
        add(guest.import.is_some(), "<file>", "guests are made of the lab's images");
        add(is_32_bit, "<arch>", "guests are made of the lab's images, by their names");
        add(guest.cores_per_socket.is_some(), "<corespersocket>", "guests have cores alone");
        add(!guest.parameters.is_empty(), "<guestparams>", "they are a toolstack's own");
        add(!guest.packages.is_empty(), "<packages>", "images are used as they are");
        add(!guest.scripts.is_empty(), "<script>", "scripts are not run yet");
        let formatted = guest.disks.iter().any(|disk| disk.format);
        add(formatted, "`format` of a <disk>", "disks are given empty");
        let virtual_function = guest.vifs.iter().any(|vif| vif.virtual_function_of.is_some());
        add(virtual_function, "`sriov` of a <network>", "there are no virtual functions yet");
        let fixed = guest.vifs.iter().filter(|vif| vif.address.is_some()).count();
        let first = guest.vifs.iter().min_by_key(|vif| vif.device);
        let only_first = fixed == 0 || fixed == 1 && first.is_some_and(|vif| vif.address.is_some());
        add(!only_first, "`ip` of a second <network>", "only the first has a fixed address");
        for after in &guest.after_install {
            if !can_carry_out(&after.action) {
                let what = format!("<postinstall> {} of the guest {name:?}", after.action.name());
                self.add(what, "guests of this library have no such method", after.place);
            }
        }
    }
}
