//! Making VMs: from templates, by copying, from snapshots and files. Also the small world.

use super::answer::{Answer, Failure};
use super::defects::Defect;
use super::life::{self, NOW};
use super::program::Given;
use super::request::Request;
use super::world::{Content, Object, World};

pub(super) fn answer(world: &mut World, request: &Request) -> Given {
    Some(match request.name.as_str() {
        "vm-install" => request.require_all().and_then(|()| install(world, request)),
        "vm-clone" | "vm-copy" => request.require_all().and_then(|()| {
            // Templates can be cloned, though no other command selects them.
            let named = request.get("uuid").and_then(|uuid| world.object("vm", uuid));
            let named = named.filter(|vm| vm.is("is-a-template", "true"));
            let vms = match named {
                Some(vm) => vec![vm.uuid()],
                None => request.selected(world, "vm")?,
            };
            life::each(world, request, vms, |world, vm, request| {
                life::expect(world, vm, &["halted"])?;
                copied(world, vm, request, true)
            })
        }),
        "vm-snapshot" | "vm-snapshot-with-quiesce" | "vm-checkpoint" => {
            request.require_all().and_then(|()| {
                let vms = request.selected(world, "vm")?;
                life::each(world, request, vms, snapshot)
            })
        }
        "snapshot-revert" => named(world, request).and_then(|uuid| revert(world, &uuid)),
        "snapshot-clone" | "snapshot-copy" => request.require_all().and_then(|()| {
            let uuid = named(world, request)?;
            let copy = copied(world, &uuid, request, true)?;
            if let Some(uuid) = std::str::from_utf8(&copy.stdout).ok().map(str::trim) {
                let vm = world.find_mut("vm", uuid)?;
                vm.set("is-a-snapshot", "false");
                vm.put("snapshot-of", Content::Null);
            }
            Ok(copy)
        }),
        "snapshot-uninstall" => {
            named(world, request).and_then(|uuid| life::remove_with_disks(world, &uuid, request))
        }
        "snapshot-destroy" => named(world, request).map(|uuid| {
            life::forget(world, &uuid);
            Answer::nothing()
        }),
        "template-uninstall" => request.require_all().and_then(|()| {
            let uuid = request.required("template-uuid")?.to_owned();
            world.find("vm", &uuid)?;
            life::remove_with_disks(world, &uuid, request)
        }),
        "vm-export" => request.require_all().and_then(|()| export(world, request)),
        "vm-import" => import(world, request),
        _ => return None,
    })
}

fn named(world: &World, request: &Request) -> Result<String, Failure> {
    let uuid = match request.get("snapshot-uuid") {
        Some(uuid) => uuid,
        None => request.required("uuid")?,
    };
    world.find("vm", uuid)?;
    Ok(uuid.to_owned())
}

fn install(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let by_name = request.get("template").or(request.get("template-name-label"));
    let by_uuid = request.get("template").or(request.get("template-uuid"));
    let templates = world.all("vm").filter(|vm| {
        vm.is("is-a-template", "true")
            && (by_name.is_some_and(|name| vm.is("name-label", name))
                || by_uuid.is_some_and(|uuid| vm.is("uuid", uuid)))
    });
    let templates: Vec<Object> = templates.cloned().collect();
    let template = match templates.as_slice() {
        [] => return Err(Failure::Client("No templates matched".to_owned())),
        [template] => template,
        _ => return Err(Failure::Client("Multiple templates matched".to_owned())),
    };
    let sizes: Vec<u64> = template
        .hidden
        .get("disks")
        .map_or("", String::as_str)
        .split(',')
        .filter_map(|size| size.parse().ok())
        .collect();
    let sr = storage_for(world, request, !sizes.is_empty())?;
    let name = request.required("new-name-label")?;
    let mut vm = template.clone();
    let uuid = Object::new("vm").uuid();
    vm.set("uuid", uuid.as_str());
    vm.set("name-label", name);
    vm.set("name-description", "Installed via xe CLI");
    vm.set("is-a-template", "false");
    vm.set("is-default-template", "false");
    vm.set("install-time", NOW);
    vm.remove_key("other-config", "disks");
    vm.set_key("other-config", "mac_seed", &Object::new("vm").uuid());
    vm.set_key("other-config", "base_template_name", &template.text("name-label"));
    vm.hidden.remove("disks");
    world.add(vm);
    // A storage that was said makes full copies there of what would be clones.
    let said = request.get("sr-uuid").or(request.get("sr-name-label")).and(sr.as_deref());
    copy_devices(world, &template.uuid(), &uuid, true, said);
    for (number, size) in sizes.iter().enumerate() {
        let Some(sr) = &sr else { continue };
        let disk = super::storage::disk(world, sr, &number.to_string(), *size)?;
        let vbd = Object::new("vbd")
            .with("vm-uuid", uuid.as_str())
            .with("vm-name-label", name)
            .with("vdi-uuid", disk)
            .with("vdi-name-label", number.to_string())
            .with("userdevice", number.to_string())
            .with("mode", "RW")
            .with("type", "Disk")
            .with("unpluggable", "true")
            .with("other-config", format!("{}: ", life::OWNER));
        world.add(vbd);
    }
    life::tidy(world);
    Ok(Answer::line(uuid))
}

/// The storage that new disks go to.
fn storage_for(world: &World, request: &Request, needed: bool) -> Result<Option<String>, Failure> {
    if let Some(uuid) = request.get("sr-uuid") {
        return Ok(Some(world.find("sr", uuid)?.uuid()));
    }
    if let Some(name) = request.get("sr-name-label") {
        let sr = world.all("sr").find(|sr| sr.is("name-label", name)).map(Object::uuid);
        let none = || Failure::Client("No SR with that name-label found".to_owned());
        return sr.map(Some).ok_or_else(none);
    }
    let default = world.only("pool").map(|pool| pool.text("default-SR")).unwrap_or_default();
    match world.object("sr", &default) {
        Some(sr) => Ok(Some(sr.uuid())),
        None if !needed => Ok(None),
        None => Err(Failure::Client(
            "Failed to find a valid default SR for the Pool. Please provide an sr-name-label or \
             sr-uuid parameter."
                .to_owned(),
        )),
    }
}

/// Copies the disks of one VM to another one, on the storage `sr` or beside the originals, and its
/// VIFs. Whoever owned the originals, the other VM owns the copies.
fn copy_devices(world: &mut World, from: &str, to: &str, new_macs: bool, sr: Option<&str>) {
    let name = world.object("vm", to).map(|vm| vm.text("name-label")).unwrap_or_default();
    let own = |device: &&Object| {
        ["vbd", "vif"].contains(&device.class.as_str()) && device.is("vm-uuid", from)
    };
    let devices: Vec<Object> = world.objects.iter().filter(own).cloned().collect();
    for mut device in devices {
        let fresh = Object::new(&device.class);
        device.set("uuid", fresh.uuid());
        device.set("vm-uuid", to);
        device.set("vm-name-label", name.as_str());
        device.set("currently-attached", "false");
        if device.class == "vif" {
            if new_macs {
                device.set("MAC", super::devices::made_mac(&fresh.uuid()));
            }
        } else {
            device.set("device", "");
            let disk = world.object("vdi", &device.text("vdi-uuid")).cloned();
            if let Some(mut disk) = disk.filter(|_| device.is("type", "Disk")) {
                let uuid = Object::new("vdi").uuid();
                disk.set("uuid", uuid.as_str());
                if let Some(sr) = sr {
                    disk.set("sr-uuid", sr);
                }
                device.set_key("other-config", life::OWNER, "");
                device.set("vdi-uuid", uuid);
                world.add(disk);
            }
        }
        world.add(device);
    }
}

/// A snapshot keeps the addresses of the VIFs, other copies get their own.
fn copied(
    world: &mut World,
    source: &str,
    request: &Request,
    new_macs: bool,
) -> Result<Answer, Failure> {
    let mut vm = world.find("vm", source)?.clone();
    let uuid = Object::new("vm").uuid();
    vm.set("uuid", uuid.as_str());
    vm.set("name-label", request.required("new-name-label")?);
    if let Some(text) = request.get("new-name-description") {
        vm.set("name-description", text);
    }
    world.add(vm);
    let sr = request.get("sr-uuid").map(|sr| world.find("sr", sr)).transpose()?.map(Object::uuid);
    copy_devices(world, source, &uuid, new_macs, sr.as_deref());
    life::tidy(world);
    Ok(Answer::line(uuid))
}

fn snapshot(world: &mut World, vm: &str, request: &Request) -> Result<Answer, Failure> {
    let checkpoint = request.name == "vm-checkpoint";
    if checkpoint {
        life::expect(world, vm, &["running", "suspended"])?;
    }
    let object = world.find("vm", vm)?;
    if request.name == "vm-snapshot-with-quiesce" && !life::has_agent(object) {
        let values = [object.reference(), "nothing in the guest answers".to_owned()];
        return Err(Failure::api("VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED", values));
    }
    let running = object.is("power-state", "running");
    copied(world, vm, request, false).and_then(|answer| {
        let uuid = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        life::end(world, &uuid, if checkpoint && running { "suspended" } else { "halted" });
        let snapshot = world.find_mut("vm", &uuid)?;
        snapshot.set("is-a-template", "true");
        snapshot.set("is-a-snapshot", "true");
        snapshot.set("snapshot-of", vm);
        snapshot.set("snapshot-time", NOW);
        life::tidy(world);
        Ok(answer)
    })
}

/// The VM becomes what the snapshot is: halted, or suspended for a checkpoint.
fn revert(world: &mut World, snapshot: &str) -> Result<Answer, Failure> {
    let kept = world.find("vm", snapshot)?.clone();
    let vm = kept.text("snapshot-of");
    let before = world.find("vm", &vm)?.clone();
    for disk in life::disks_of(world, &vm) {
        world.remove("vdi", &disk);
    }
    life::forget(world, &vm);
    let mut after = kept.clone();
    after.set("uuid", vm.as_str());
    after.set("name-label", before.text("name-label"));
    after.set("is-a-template", "false");
    after.set("is-a-snapshot", "false");
    after.put("snapshot-of", Content::Null);
    world.add(after);
    copy_devices(world, snapshot, &vm, false, None);
    life::tidy(world);
    Ok(Answer::nothing())
}

fn export(world: &World, request: &Request) -> Result<Answer, Failure> {
    let vm = request.vm(world)?;
    let file = request.required("filename")?;
    let own = |object: &&Object| object.is("uuid", &vm) || object.is("vm-uuid", &vm);
    let mut objects: Vec<&Object> = world.objects.iter().filter(own).collect();
    for disk in life::disks_of(world, &vm) {
        objects.extend(world.object("vdi", &disk));
    }
    let bytes =
        serde_json::to_vec(&objects).map_err(|error| Failure::internal(error.to_string()))?;
    if file.is_empty() {
        return Ok(Answer { stdout: bytes, ..Answer::default() });
    }
    let failed = |text: String| Failure::Text(format!("Operation failed. Error: {text}\n"));
    if std::path::Path::new(file).exists() {
        return Err(failed(format!("Sys_error(\"{file}: File exists\")")));
    }
    std::fs::write(file, bytes)
        .map_err(|error| failed(format!("Sys_error(\"{file}: {error}\")")))?;
    Ok(Answer::line("Export succeeded"))
}

fn import(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let file = request.required("filename")?;
    let missing =
        |_| Failure::Text(format!("Operation failed. Error: file '{file}' does not exist\n"));
    let bytes = std::fs::read(file).map_err(missing)?;
    let objects: Vec<Object> = serde_json::from_slice(&bytes)
        .map_err(|_| Failure::api::<String>("IMPORT_ERROR_PREMATURE_EOF", []))?;
    let Some(vm) = objects.iter().find(|object| object.class == "vm").cloned() else {
        return Err(Failure::api::<String>("IMPORT_ERROR_PREMATURE_EOF", []));
    };
    let preserve = request.flag("preserve")?;
    if preserve && let Some(existing) = world.object("vm", &vm.uuid()) {
        let values = [existing.reference(), existing.text("version"), vm.text("version")];
        return Err(Failure::api("VM_TO_IMPORT_IS_NOT_NEWER_VERSION", values));
    }
    // Into a world of its own first, so that the copy gets new identities everywhere.
    let mut apart = World { objects, ..World::default() };
    let uuid = if preserve { vm.uuid() } else { Object::new("vm").uuid() };
    if !preserve {
        let mut copy = vm.clone();
        copy.set("uuid", uuid.as_str());
        apart.add(copy);
        copy_devices(&mut apart, &vm.uuid(), &uuid, false, None);
    }
    let disks = life::disks_of(&apart, &uuid);
    let wanted = |object: &Object| {
        object.is("uuid", &uuid) || object.is("vm-uuid", &uuid) || disks.contains(&object.uuid())
    };
    world.objects.extend(apart.objects.into_iter().filter(wanted));
    life::end(world, &uuid, "halted");
    life::tidy(world);
    Ok(Answer::line(uuid))
}

impl World {
    /// One host of XCP-ng 8.3 with a local storage, an ISO storage with two CDs, two networks and
    /// two templates: "Other install media" without a disk, "Debian Bookworm 12" with one of 10 GiB.
    pub fn small() -> Self {
        let mut world = Self::empty();
        let host = "9d0c7a4e-1111-4c1e-8000-000000000001";
        let sr = "d2338461-179b-541a-34c6-609adec60b01";
        world.add(super::hosts::host_object(host, "xapi-sim", "192.0.2.10"));
        world.add(
            Object::with_uuid("pool", "afd21ff5-f87a-813e-eb04-94579ed83a33")
                .with("master", host)
                .with("default-SR", sr)
                .with("suspend-image-SR", sr),
        );
        world.add(
            Object::with_uuid("vm", "9d0c7a4e-2222-4c1e-8000-000000000002")
                .with("name-label", "Control domain on host: xapi-sim")
                .with("is-control-domain", "true")
                .with("power-state", "running")
                .with("dom-id", "0")
                .with("VCPUs-number", "2")
                .with("memory-dynamic-max", "1073741824")
                .with("resident-on", host),
        );
        super::storage::add_sr(&mut world, sr, "Local storage", "dummy", "");
        let iso = "1143bf71-19b8-b4a6-1a5e-c0c1ce29dbb1";
        super::storage::add_sr(&mut world, iso, "ISO", "iso", "iso");
        for name in ["debian-12.iso", "guest-tools.iso"] {
            let cd = Object::new("vdi").with("name-label", name).with("sr-uuid", iso);
            world.add(cd.with("read-only", "true").with("virtual-size", "1048576"));
        }
        super::networks::add_network(
            &mut world,
            "94dc1e0a-4a22-1781-b7f7-c98768d70ebd",
            "Pool-wide network 0",
            "xenbr0",
            Some("eth0"),
        );
        super::networks::add_network(
            &mut world,
            "6e1f79db-01de-3275-be9d-59fdecb1bee9",
            "Pool-wide network 1",
            "xenbr1",
            Some("eth1"),
        );
        let template = |uuid, name| {
            Object::with_uuid("vm", uuid)
                .with("name-label", name)
                .with("is-a-template", "true")
                .with("is-default-template", "true")
        };
        world.add(
            template("552bce37-51b2-445d-84f2-5f33fa112d7e", "Other install media")
                .with("memory-static-max", "268435456")
                .with("memory-dynamic-max", "268435456")
                .with("memory-dynamic-min", "268435456")
                .with("memory-static-min", "67108864"),
        );
        world.add(
            template("07d91aaa-43f7-430a-bf84-0edb6714df0f", "Debian Bookworm 12")
                .with(
                    "other-config",
                    "disks: <provision><disk device=\"0\" size=\"10737418240\" sr=\"\" \
                     bootable=\"true\" type=\"system\"/></provision>",
                )
                .with_hidden("disks", "10737418240"),
        );
        life::tidy(&mut world);
        world
    }

    /// Adds another host to the pool.
    pub fn add_host(&mut self, name: &str, address: &str) -> String {
        let uuid = Object::new("host").uuid();
        self.add(super::hosts::host_object(&uuid, name, address))
    }

    /// Lets this user in from elsewhere.
    pub fn allow_login(&mut self, user: &str, password: &str) {
        self.login = Some((user.to_owned(), password.to_owned()));
    }

    /// Makes another host the coordinator; logins to this one are sent there.
    pub fn set_coordinator(&mut self, address: &str) {
        self.coordinator = Some(address.to_owned());
    }

    /// Has the agents of guests report only after so many looks at their addresses.
    pub fn set_agent_delay(&mut self, looks: u32) {
        self.agent_delay = looks;
    }

    /// Has the kernel of a guest that runs crash.
    pub fn crash(&mut self, vm: &str) {
        life::crash(self, vm);
    }

    /// The machine of the host of this name boots anew: it has no domains any more, and another
    /// boot. A host that there is not is left alone.
    pub fn reboot_host(&mut self, name: &str) {
        let host = self.objects.iter_mut().find(|object| {
            object.class == "host" && (name.is_empty() || object.is("name-label", name))
        });
        let Some(host) = host else { return };
        host.hidden.insert("boot".to_owned(), Object::new("host").uuid());
        let host = host.uuid();
        super::hosts::end_all(self, &host);
    }

    /// Has it be broken in this way.
    pub fn set_defect(&mut self, defect: Option<Defect>) {
        self.defect = defect;
    }

    /// Takes the agent away from a guest: it cannot be asked to shut down and reports no address.
    pub fn remove_agent(&mut self, vm: &str) {
        if let Some(vm) = self.object_mut("vm", vm) {
            vm.hidden.insert("agent".to_owned(), "none".to_owned());
        }
    }
}
