//! Doubles that lie: one broken behaviour each, which a suite of tests must find out.

use serde::{Deserialize, Serialize};

use super::answer::{Answer, Failure};
use super::program;
use super::request::Request;
use super::world::{Content, Object, World};

macro_rules! defects {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One broken behaviour of the double.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Defect {
            $($(#[$doc])* $name,)*
        }

        impl Defect {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

defects! {
    /// `vm-suspend` succeeds and the guest runs on.
    SuspendIgnored,
    /// A guest that was suspended still has a domain.
    SuspendLeavesDomain,
    /// A guest that was resumed is another boot.
    ResumeBootsAnew,
    /// A guest that was shut down still has a domain.
    ShutdownLeavesDomain,
    /// `vm-shutdown` with force succeeds and does nothing.
    PowerOffIgnored,
    /// A guest that is to start paused runs.
    StartPausedRuns,
    /// xapi says that a guest is paused, and it runs.
    PauseHiddenFromHypervisor,
    /// `vm-reboot` succeeds and does nothing.
    RebootIgnored,
    /// A guest that reboots is halted.
    RebootHalts,
    /// A guest loses its VIFs when it reboots.
    RebootLosesVif,
    /// A guest that crashed goes on as if nothing were.
    CrashReportedRunning,
    /// `vm-uninstall` leaves the disks.
    UninstallLeavesDisks,
    /// `vm-uninstall` succeeds and leaves the VM.
    UninstallLeavesVm,
    /// A disk goes with its VBD.
    VbdTakesDisk,
    /// The number of vCPUs that is set is not kept.
    VcpusIgnored,
    /// The limits of memory that are set are not kept.
    MemoryLimitsIgnored,
    /// A VIF gets another hardware address.
    MacIgnored,
    /// A second VIF is not made.
    SecondVifDropped,
    /// A VIF is always on the first network.
    VifOnFirstNetwork,
    /// The first VIF of a VM goes in the place of the one that is meant.
    VifDestroysFirst,
    /// A VIF that is plugged is not seen by the guest.
    VifPlugIgnored,
    /// A VBD that is plugged is not seen by the guest.
    VbdPlugIgnored,
    /// A disk that may only be read can be written to.
    ReadOnlyLost,
    /// A VBD gets the first device that is free.
    DeviceIgnored,
    /// `vdi-destroy` succeeds and does nothing.
    VdiDestroyIgnored,
    /// No list shows disks.
    DisksHidden,
    /// Names are cut off after 64 bytes.
    NamesTruncated,
    /// Characters beyond ASCII are shown as question marks.
    UnicodeLost,
    /// A running guest keeps the vCPUs that it had.
    VcpuHotplugIgnored,
    /// vCPUs that a running guest was given are forgotten when it boots.
    VcpusForgottenAtBoot,
    /// A running guest keeps the memory that it had.
    DynamicRangeIgnored,
    /// Every dom0 shows the domains of all hosts.
    MigrateLeavesSource,
    /// A guest that moves is another boot.
    MigrateReboots,
    /// A guest that moves loses its VIFs.
    MigrateLosesVif,
    /// `network-destroy` succeeds and does nothing.
    NetworkStays,
    /// The hypervisor does not show its control domain.
    ControlDomainHidden,
    /// Lists show no guests that are halted.
    HaltedHidden,
    /// All guests report the same address.
    AddressOfAnother,
    /// What is not there is told as an internal error.
    MissingUnnamed,
    /// That there is no memory is told as an internal error.
    OutOfMemoryUnnamed,
    /// A guest starts though its host has no memory for it.
    Overcommits,
    /// The free memory of a host never changes.
    FreeMemoryStands,
}

/// The answer of a double with this defect.
pub(super) fn carry_out(defect: Defect, world: &mut World, request: &Request) -> Answer {
    let before = world.clone();
    let request = rewritten(defect, world, request);
    if defect == Defect::Overcommits && request.name == "vm-start" {
        make_room(world);
    }
    let answer = program::carry_out(world, &request);
    if answer.status != 0 {
        return unnamed(defect, answer);
    }
    if ignores(defect, &before, &request) {
        *world = before;
        return answer;
    }
    after(defect, &before, world, &request);
    match defect {
        Defect::UnicodeLost => {
            let text = String::from_utf8_lossy(&answer.stdout).into_owned();
            Answer::text(
                text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect::<String>(),
            )
        }
        Defect::DisksHidden if request.name == "vdi-list" => Answer::line(""),
        _ => answer,
    }
}

/// Whether a command is not carried out.
fn ignores(defect: Defect, before: &World, request: &Request) -> bool {
    let name = request.name.as_str();
    let forced = request.get("force").is_some();
    match defect {
        Defect::SuspendIgnored => name == "vm-suspend",
        Defect::PowerOffIgnored => name == "vm-shutdown" && forced,
        Defect::RebootIgnored => name == "vm-reboot",
        Defect::UninstallLeavesVm => name == "vm-uninstall",
        Defect::MemoryLimitsIgnored => name == "vm-memory-limits-set",
        Defect::SecondVifDropped => {
            name == "vif-create" && request.get("device").is_some_and(|device| device != "0")
        }
        Defect::VifPlugIgnored => name == "vif-plug",
        Defect::VbdPlugIgnored => name == "vbd-plug",
        // A disk of a VM that goes is removed by another command.
        Defect::VdiDestroyIgnored => {
            name == "vdi-destroy" && before.all("vm").any(|vm| vm.is("power-state", "running"))
        }
        Defect::VcpuHotplugIgnored => name == "vm-vcpu-hotplug",
        Defect::DynamicRangeIgnored => name == "vm-memory-dynamic-range-set",
        Defect::NetworkStays => name == "network-destroy",
        _ => false,
    }
}

/// The command that is carried out in the place of the one that was sent.
fn rewritten(defect: Defect, world: &World, request: &Request) -> Request {
    let mut request = request.clone();
    let name = request.name.clone();
    match defect {
        Defect::StartPausedRuns if name == "vm-start" => {
            request.params.retain(|(key, _)| key != "paused");
        }
        Defect::VcpusIgnored if name == "vm-param-set" => {
            request.params.retain(|(key, _)| !key.starts_with("VCPUs-"));
        }
        Defect::MacIgnored if name == "vif-create" => {
            request.params.retain(|(key, _)| key != "mac");
        }
        Defect::ReadOnlyLost if name == "vbd-create" => {
            request.params.retain(|(key, _)| key != "mode");
        }
        Defect::DeviceIgnored if name == "vbd-create" => set(&mut request, "device", "autodetect"),
        Defect::VifOnFirstNetwork if name == "vif-create" => {
            if let Some(network) = world.all("network").next() {
                set(&mut request, "network-uuid", &network.uuid());
            }
        }
        Defect::VifDestroysFirst if name == "vif-destroy" => {
            let vm = request.get("uuid").and_then(|uuid| world.object("vif", uuid));
            let vm = vm.map(|vif| vif.text("vm-uuid")).unwrap_or_default();
            let first = world.all("vif").find(|vif| vif.is("vm-uuid", &vm)).map(Object::uuid);
            if let Some(first) = first {
                set(&mut request, "uuid", &first);
            }
        }
        Defect::HaltedHidden if name == "vm-list" && request.get("uuid").is_none() => {
            request.params.push(("power-state".to_owned(), "running".to_owned()));
        }
        Defect::NamesTruncated if name == "vm-param-set" => {
            for (key, value) in &mut request.params {
                if key == "name-label" {
                    value.truncate(value.floor_char_boundary(64));
                }
            }
        }
        _ => {}
    }
    request
}

fn set(request: &mut Request, key: &str, value: &str) {
    for (own, old) in &mut request.params {
        if own == key {
            value.clone_into(old);
        }
    }
}

/// Gives hosts room that they have not.
fn make_room(world: &mut World) {
    for host in world.objects.iter_mut().filter(|object| object.class == "host") {
        host.set("memory-total", u64::MAX.to_string());
    }
}

fn unnamed(defect: Defect, answer: Answer) -> Answer {
    let hidden = match defect {
        Defect::MissingUnnamed => {
            answer.stderr.contains("No matching VMs") || answer.stderr.contains("uuid you supplied")
        }
        Defect::OutOfMemoryUnnamed => answer.stderr.contains("memory"),
        _ => false,
    };
    if hidden { Failure::internal("something went wrong").answer() } else { answer }
}

/// What becomes of the world besides.
fn after(defect: Defect, before: &World, world: &mut World, request: &Request) {
    let name = request.name.as_str();
    let vm = request.get("uuid").unwrap_or_default();
    match defect {
        Defect::SuspendLeavesDomain if name == "vm-suspend" => keep_domain(before, world, vm),
        Defect::ShutdownLeavesDomain if name == "vm-shutdown" => keep_domain(before, world, vm),
        Defect::ResumeBootsAnew if name == "vm-resume" => new_boot(world, vm),
        Defect::MigrateReboots if name == "vm-migrate" => new_boot(world, vm),
        Defect::RebootHalts if name == "vm-reboot" => super::life::end(world, vm, "halted"),
        Defect::RebootLosesVif if name == "vm-reboot" => lose_vifs(world, vm),
        Defect::MigrateLosesVif if name == "vm-migrate" => lose_vifs(world, vm),
        Defect::UninstallLeavesDisks if name == "vm-uninstall" => {
            let left = before.all("vdi").filter(|vdi| world.object("vdi", &vdi.uuid()).is_none());
            let left: Vec<Object> = left.cloned().collect();
            world.objects.extend(left);
        }
        Defect::VbdTakesDisk if name == "vbd-destroy" => {
            let disk = before.object("vbd", vm).map(|vbd| vbd.text("vdi-uuid"));
            world.remove("vdi", &disk.unwrap_or_default());
        }
        Defect::VcpusForgottenAtBoot if name == "vm-vcpu-hotplug" => {
            let old = before.object("vm", vm).map(|vm| vm.text("VCPUs-at-startup"));
            if let Some(vm) = world.object_mut("vm", vm) {
                vm.set("VCPUs-at-startup", old.unwrap_or_default());
            }
        }
        Defect::AddressOfAnother => {
            for vm in world.objects.iter_mut().filter(|object| object.class == "vm") {
                if vm.text("networks").contains("0/ip: ") {
                    vm.set("networks", "0/ip: 192.0.2.101; 0/ipv4/0: 192.0.2.101");
                }
            }
        }
        _ => {}
    }
}

/// The hypervisor still has the domain that it had.
fn keep_domain(before: &World, world: &mut World, vm: &str) {
    let (Some(old), Some(new)) = (before.object("vm", vm), world.object_mut("vm", vm)) else {
        return;
    };
    new.set("dom-id", old.text("dom-id"));
    new.put("resident-on", Content::Text(old.text("resident-on")));
}

fn new_boot(world: &mut World, vm: &str) {
    if let Some(vm) = world.object_mut("vm", vm) {
        vm.hidden.insert("boot".to_owned(), Object::new("vm").uuid());
    }
}

fn lose_vifs(world: &mut World, vm: &str) {
    world.objects.retain(|object| object.class != "vif" || !object.is("vm-uuid", vm));
    super::life::tidy(world);
}
