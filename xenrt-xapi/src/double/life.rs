//! The power states of VMs.

use super::answer::{Answer, Failure};
use super::defects::Defect;
use super::printer;
use super::program::Given;
use super::request::Request;
use super::world::{Content, Object, World};

/// When everything happens: the double has no clock, so that its worlds are the same every time.
pub(super) const NOW: &str = "20261123T11:32:58Z";

/// What only a running guest shows.
const METRICS: &[&str] = &[
    "os-version",
    "netbios-name",
    "PV-drivers-version",
    "PV-drivers-up-to-date",
    "memory",
    "disks",
    "networks",
    "services",
    "PV-drivers-detected",
    "other",
    "live",
    "guest-metrics-last-updated",
    "can-use-hotplug-vbd",
    "can-use-hotplug-vif",
];

pub(super) fn answer(world: &mut World, request: &Request) -> Given {
    type One = fn(&mut World, &str, &Request) -> Result<Answer, Failure>;
    let one: One = match request.name.as_str() {
        "vm-start" => start,
        "vm-shutdown" => shutdown,
        "vm-reboot" => reboot,
        "vm-suspend" => suspend,
        "vm-resume" => resume,
        "vm-pause" => |world, vm, _| set_state(world, vm, &["running"], "paused"),
        "vm-unpause" => |world, vm, _| set_state(world, vm, &["paused"], "running"),
        "vm-migrate" => migrate,
        "vm-reset-powerstate" => reset_power_state,
        // One that runs is ended by force first.
        "vm-uninstall" => remove_with_disks,
        "vm-destroy" => {
            return Some(request.required("uuid").map(str::to_owned).and_then(|vm| {
                world.find("vm", &vm)?;
                expect(world, &vm, &["halted", "suspended"])?;
                forget(world, &vm);
                Ok(Answer::nothing())
            }));
        }
        _ => return None,
    };
    Some(request.selected(world, "vm").and_then(|vms| each(world, request, vms, one)))
}

/// Does the same to each of several VMs; what fails of several is told on standard output.
pub(super) fn each(
    world: &mut World,
    request: &Request,
    vms: Vec<String>,
    one: fn(&mut World, &str, &Request) -> Result<Answer, Failure>,
) -> Result<Answer, Failure> {
    if let [vm] = vms.as_slice() {
        return one(world, vm, request);
    }
    let mut all = Answer::nothing();
    for vm in vms {
        match one(world, &vm, request) {
            Ok(answer) => all.stdout.extend(answer.stdout),
            Err(failure) => {
                let text = failure.answer().stderr;
                all.stdout.extend(format!("operation failed on {vm}: {text}").into_bytes());
                all.status = 1;
            }
        }
    }
    Ok(all)
}

/// The error for a VM that is not in one of these states, joined by commas.
pub(super) fn bad_state(vm: &Object, expected: &str) -> Failure {
    let values = [vm.reference(), expected.to_owned(), vm.text("power-state")];
    Failure::api("VM_BAD_POWER_STATE", values)
}

pub(super) fn expect(world: &World, vm: &str, states: &[&str]) -> Result<(), Failure> {
    let vm = world.find("vm", vm)?;
    if states.contains(&vm.text("power-state").as_str()) {
        return Ok(());
    }
    Err(bad_state(vm, &states.join(", ")))
}

fn set_state(world: &mut World, vm: &str, from: &[&str], to: &str) -> Result<Answer, Failure> {
    expect(world, vm, from)?;
    world.find_mut("vm", vm)?.set("power-state", to);
    Ok(Answer::nothing())
}

/// The host of this name or identity.
pub(super) fn host(world: &World, name: &str) -> Result<String, Failure> {
    let host = world.all("host").find(|host| host.is("uuid", name) || host.is("name-label", name));
    host.map(Object::uuid).ok_or_else(|| Failure::Client(format!("Host {name} not found")))
}

fn start(world: &mut World, vm: &str, request: &Request) -> Result<Answer, Failure> {
    let chosen = request.get("on").map(|name| host(world, name)).transpose()?;
    expect(world, vm, &["halted"])?;
    let object = world.find("vm", vm)?;
    let mut reasons = Vec::new();
    let mut fits = None;
    for candidate in world.all("host") {
        let Some(reason) = cannot_start(world, object, candidate) else {
            fits = fits.or(Some(candidate.uuid()));
            continue;
        };
        if chosen.as_ref() == Some(&candidate.uuid()) {
            let free = free_memory(world, candidate);
            let values = [object.text("memory-dynamic-max"), free.to_string()];
            return Err(Failure::api("HOST_NOT_ENOUGH_FREE_MEMORY", values));
        }
        reasons.push((candidate.text("name-label"), format!("Cannot start here [{reason}]")));
    }
    let Some(on) = chosen.or(fits) else {
        return Err(Failure::NoHost(format!(
            "There are no suitable hosts to start this VM on.\nThe following table provides \
             per-host reasons for why the VM could not be started:\n\n{}",
            printer::record(&reasons)
        )));
    };
    let paused = request.flag("paused")?;
    boot(world, vm);
    begin(world, vm, &on, if paused { "paused" } else { "running" });
    Ok(Answer::nothing())
}

/// Why a VM cannot start on a host, if it cannot.
pub(super) fn cannot_start(world: &World, vm: &Object, host: &Object) -> Option<&'static str> {
    // What it has there already it can have.
    let own = if vm.is("resident-on", &host.uuid()) { vm.number("memory-dynamic-max") } else { 0 };
    if !host.is("enabled", "true") {
        Some("Host is disabled")
    } else if free_memory(world, host) + own < vm.number("memory-dynamic-max") {
        Some("Not enough free memory")
    } else {
        None
    }
}

/// Brings what hosts say of their free memory up to date after a command.
pub(super) fn account(world: &mut World) {
    if world.defect == Some(Defect::FreeMemoryStands) {
        return;
    }
    let used = |world: &World, host: &str| -> u64 {
        let here = world
            .all("vm")
            .filter(|vm| vm.is("resident-on", host) && vm.is("is-control-domain", "false"));
        here.map(|vm| vm.number("memory-dynamic-max")).sum()
    };
    for host in world.all("host").map(Object::uuid).collect::<Vec<_>>() {
        let used = used(world, &host);
        let Some(host) = world.object_mut("host", &host) else { continue };
        let before = host.hidden("used").and_then(|used| used.parse().ok()).unwrap_or(0u64);
        let free = (host.number("memory-free-computed") + before).saturating_sub(used);
        if before != used {
            host.set("memory-free-computed", free.to_string());
            host.hidden.insert("used".to_owned(), used.to_string());
        }
    }
}

/// What a host has left for new VMs.
pub(super) fn free_memory(world: &World, host: &Object) -> u64 {
    let running = world.all("vm").filter(|vm| vm.is("resident-on", &host.uuid()));
    let used: u64 = running.map(|vm| vm.number("memory-dynamic-max")).sum();
    host.number("memory-total").saturating_sub(used)
}

/// Gives a VM a domain on a host.
pub(super) fn begin(world: &mut World, vm: &str, host: &str, state: &str) {
    world.domains += 1;
    let domain = world.domains.to_string();
    let delay = world.agent_delay;
    let Some(object) = world.object_mut("vm", vm) else { return };
    object.set("power-state", state);
    object.set("resident-on", host);
    object.set("dom-id", domain);
    object.set("start-time", NOW);
    object.set("current-domain-type", object.text("domain-type"));
    object.set("VCPUs-number", object.text("VCPUs-at-startup"));
    object.set("memory-actual", object.text("memory-dynamic-max"));
    object.set("memory-target", object.text("memory-dynamic-max"));
    for metric in METRICS {
        object.set(metric, "");
    }
    object.hidden.insert("agent-looks".to_owned(), delay.to_string());
    for device in world.objects.iter_mut().filter(|device| device.is("vm-uuid", vm)) {
        attach(device);
    }
    if delay == 0 {
        report(world, vm);
    }
}

/// Attaches a device to the domain of its VM.
pub(super) fn attach(device: &mut Object) {
    device.set("currently-attached", "true");
    if device.class == "vbd" {
        let number = u8::try_from(device.number("userdevice")).unwrap_or(0);
        device.set("device", format!("xvd{}", char::from(b'a' + number.min(25))));
    }
}

/// The kernel of a guest crashes: what becomes of its VM is what `actions-after-crash` says. One that
/// is preserved is paused, and the hypervisor alone knows better.
pub(super) fn crash(world: &mut World, vm: &str) {
    let broken = world.defect == Some(Defect::CrashReportedRunning);
    let Some(object) = world.object_mut("vm", vm).filter(|vm| vm.is("power-state", "running"))
    else {
        return;
    };
    if broken {
        return;
    }
    let action = object.text("actions-after-crash").to_lowercase();
    let on = object.text("resident-on");
    if action == "preserve" {
        object.set("power-state", "paused");
        object.hidden.insert("crashed".to_owned(), "yes".to_owned());
        return;
    }
    end(world, vm, "halted");
    if action.contains("restart") {
        boot(world, vm);
        begin(world, vm, &on, "running");
    }
}

/// Ends the domain of a VM.
pub(super) fn end(world: &mut World, vm: &str, state: &str) {
    for device in world.objects.iter_mut().filter(|device| device.is("vm-uuid", vm)) {
        device.set("currently-attached", "false");
        if device.class == "vbd" {
            device.set("device", "");
        }
    }
    let Some(vm) = world.object_mut("vm", vm) else { return };
    vm.set("power-state", state);
    vm.hidden.remove("crashed");
    vm.put("resident-on", Content::Null);
    vm.set("dom-id", "-1");
    vm.set("current-domain-type", "unspecified");
    vm.set("VCPUs-number", "0");
    vm.set("memory-actual", "0");
    for metric in METRICS {
        vm.put(metric, Content::Null);
    }
}

/// The agent in a guest reports, unless it has none.
fn report(world: &mut World, vm: &str) {
    let mut networks = Vec::new();
    for vif in world.all("vif").filter(|vif| vif.is("vm-uuid", vm)) {
        let (device, number) = (vif.text("device"), vif.hidden.get("number"));
        let number = number.map_or("1", String::as_str);
        networks.push(format!("{device}/ipv6/0: fe80::5054:ff:fe00:{number}"));
        networks.push(format!("{device}/ip: 192.0.2.{number}"));
        networks.push(format!("{device}/ipv4/0: 192.0.2.{number}"));
    }
    let Some(object) = world.object_mut("vm", vm) else { return };
    if !has_agent(object) {
        return;
    }
    object.set("networks", networks.join("; "));
    object.set(
        "os-version",
        "name: Debian GNU/Linux 12 (bookworm); uname: 6.1.0-28-amd64; distro: debian; major: 12; \
         minor: 0",
    );
    object.set("PV-drivers-version", "major: 8; minor: 3; micro: 60; build: 1");
    for (field, value) in
        [("PV-drivers-up-to-date", "true"), ("PV-drivers-detected", "true"), ("live", "true")]
    {
        object.set(field, value);
    }
    object.set("guest-metrics-last-updated", NOW);
}

pub(super) fn has_agent(vm: &Object) -> bool {
    vm.hidden.get("agent").map(String::as_str) != Some("none")
}

/// Somebody looked at the addresses of guests: an agent that is late comes one look closer.
pub(super) fn looked_at_addresses(world: &mut World, vms: &[String]) {
    for vm in vms {
        let Some(object) = world.object_mut("vm", vm) else { continue };
        let looks: u32 =
            object.hidden.get("agent-looks").and_then(|looks| looks.parse().ok()).unwrap_or(0);
        if looks > 0 && object.is("power-state", "running") {
            object.hidden.insert("agent-looks".to_owned(), (looks - 1).to_string());
            if looks == 1 {
                report(world, vm);
            }
        }
    }
}

/// What a guest must do itself needs its agent.
fn require_agent(world: &World, vm: &str) -> Result<(), Failure> {
    let vm = world.find("vm", vm)?;
    if has_agent(vm) { Ok(()) } else { Err(Failure::api("VM_LACKS_FEATURE", [vm.reference()])) }
}

fn shutdown(world: &mut World, vm: &str, request: &Request) -> Result<Answer, Failure> {
    if request.flag("force")? {
        expect(world, vm, &["paused", "suspended", "running"])?;
    } else {
        expect(world, vm, &["running"])?;
        require_agent(world, vm)?;
    }
    end(world, vm, "halted");
    Ok(Answer::nothing())
}

fn reboot(world: &mut World, vm: &str, request: &Request) -> Result<Answer, Failure> {
    if request.flag("force")? {
        expect(world, vm, &["paused", "running"])?;
    } else {
        expect(world, vm, &["running"])?;
        require_agent(world, vm)?;
    }
    let on = world.find("vm", vm)?.text("resident-on");
    end(world, vm, "halted");
    boot(world, vm);
    begin(world, vm, &on, "running");
    Ok(Answer::nothing())
}

/// Notes that what was in its memory is gone.
fn boot(world: &mut World, vm: &str) {
    if let Some(vm) = world.object_mut("vm", vm) {
        vm.hidden.insert("boot".to_owned(), Object::new("vm").uuid());
    }
}

fn suspend(world: &mut World, vm: &str, _: &Request) -> Result<Answer, Failure> {
    expect(world, vm, &["running"])?;
    require_agent(world, vm)?;
    end(world, vm, "suspended");
    Ok(Answer::nothing())
}

fn resume(world: &mut World, vm: &str, request: &Request) -> Result<Answer, Failure> {
    expect(world, vm, &["suspended"])?;
    let on = match request.get("on") {
        Some(name) => host(world, name)?,
        None => world.only("host")?.uuid(),
    };
    begin(world, vm, &on, "running");
    Ok(Answer::nothing())
}

fn migrate(world: &mut World, vm: &str, request: &Request) -> Result<Answer, Failure> {
    if request.get("remote-master").is_some() {
        return super::pools::leave(world, vm, request);
    }
    let name = request.get("host-uuid").or(request.get("host"));
    let target = host(world, name.unwrap_or_default())?;
    expect(world, vm, &["running"])?;
    if world.find("vm", vm)?.is("resident-on", &target) {
        let id = vm.rsplit_once('-').map_or(vm, |(id, _)| id);
        return Err(Failure::internal(format!(
            "Object with type domain and id {id}-000000000001 already exists in xenopsd"
        )));
    }
    world.domains += 1;
    let domain = world.domains.to_string();
    let object = world.find_mut("vm", vm)?;
    object.set("resident-on", target);
    object.set("dom-id", domain);
    Ok(Answer::nothing())
}

fn reset_power_state(world: &mut World, vm: &str, request: &Request) -> Result<Answer, Failure> {
    if !request.flag("force")? {
        let text = "This operation is dangerous and may cause data loss. This operation must be \
                    forced (use --force).";
        return Err(Failure::Client(text.to_owned()));
    }
    let object = world.find("vm", vm)?;
    if !object.is("dom-id", "-1") {
        return Err(Failure::api("DOMAIN_EXISTS", [object.reference()]));
    }
    end(world, vm, "halted");
    Ok(Answer::nothing())
}

/// The key in `other-config` of a VBD whose disk goes with its VM.
pub(super) const OWNER: &str = "owner";

/// The disks that go with a VM.
fn owned_disks_of(world: &World, vm: &str) -> Vec<String> {
    let vbds = world.all("vbd").filter(|vbd| vbd.is("vm-uuid", vm) && vbd.is("type", "Disk"));
    let owned = |vbd: &&Object| match vbd.content("other-config") {
        Content::Map(pairs) => pairs.iter().any(|(key, _)| key == OWNER),
        _ => false,
    };
    let mut disks: Vec<String> = vbds.filter(owned).map(|vbd| vbd.text("vdi-uuid")).collect();
    disks.reverse();
    disks
}

/// The disks of a VM, CDs not included.
pub(super) fn disks_of(world: &World, vm: &str) -> Vec<String> {
    let vbds = world.all("vbd").filter(|vbd| vbd.is("vm-uuid", vm) && vbd.is("type", "Disk"));
    let mut disks: Vec<String> = vbds.map(|vbd| vbd.text("vdi-uuid")).collect();
    disks.reverse();
    disks
}

/// Removes a VM, template or snapshot with its disks, and says so; asks first, unless forced.
pub(super) fn remove_with_disks(
    world: &mut World,
    vm: &str,
    request: &Request,
) -> Result<Answer, Failure> {
    let disks = owned_disks_of(world, vm);
    let mut said = String::from("The following items are about to be destroyed\n");
    said.push_str(&format!("VM : {}\n", world.find("vm", vm)?.reference()));
    for disk in &disks {
        said.push_str(&format!("VDI: {} \n", world.find("vdi", disk)?.reference()));
    }
    if let Err(answer) = request.confirmed(&mut said)? {
        return Ok(answer);
    }
    for disk in &disks {
        world.remove("vdi", disk);
    }
    forget(world, vm);
    said.push_str("All objects destroyed\n");
    Ok(Answer::text(said))
}

/// Removes a VM with its devices, and leaves its disks.
pub(super) fn forget(world: &mut World, vm: &str) {
    world.objects.retain(|object| {
        !(["vbd", "vif", "console"].contains(&object.class.as_str()) && object.is("vm-uuid", vm))
    });
    world.remove("vm", vm);
    tidy(world);
}

/// Brings the references between VMs, disks and networks up to date.
pub(super) fn tidy(world: &mut World) {
    let before = world.clone();
    let users = |class: &str, field: &str, uuid: &str| -> String {
        let users = before.all(class).filter(|object| object.is(field, uuid));
        users.map(Object::uuid).collect::<Vec<_>>().join("; ")
    };
    for object in &mut world.objects {
        let uuid = object.uuid();
        match object.class.as_str() {
            "vm" => {
                object.set("VBDs", users("vbd", "vm-uuid", &uuid));
                object.set("snapshots", users("vm", "snapshot-of", &uuid));
            }
            "vdi" => object.set("vbd-uuids", users("vbd", "vdi-uuid", &uuid)),
            "sr" => {
                object.set("VDIs", users("vdi", "sr-uuid", &uuid));
                object.set("PBDs", users("pbd", "sr-uuid", &uuid));
            }
            "network" => {
                object.set("VIF-uuids", users("vif", "network-uuid", &uuid));
                object.set("PIF-uuids", users("pif", "network-uuid", &uuid));
            }
            _ => {}
        }
    }
}
