//! Disks and storage.

use super::answer::{Answer, Failure};
use super::life::tidy;
use super::program::Given;
use super::request::Request;
use super::world::{Object, World};

/// Drivers that this world has.
const DRIVERS: &[&str] =
    &["dummy", "ext", "file", "iso", "lvm", "lvmoiscsi", "nfs", "smb", "hba", "lvmohba", "udev"];

pub(super) fn answer(world: &mut World, request: &Request) -> Given {
    let act: fn(&mut World, &Request) -> Result<Answer, Failure> = match request.name.as_str() {
        "vdi-create" => |world, request| {
            let sr = world.find("sr", request.required("sr-uuid")?)?.uuid();
            let size = request.size("virtual-size")?;
            Ok(Answer::line(disk(world, &sr, request.required("name-label")?, size)?))
        },
        "vdi-destroy" => destroy,
        "vdi-copy" | "vdi-clone" | "vdi-snapshot" => copy,
        "vdi-resize" => |world, request| {
            let size = request.size("disk-size")?;
            let vdi = world.find_mut("vdi", request.required("uuid")?)?;
            vdi.set("virtual-size", size.to_string());
            Ok(Answer::nothing())
        },
        "vdi-forget" => |world, request| {
            let uuid = world.find("vdi", request.required("uuid")?)?.uuid();
            world.remove("vdi", &uuid);
            Ok(Answer::nothing())
        },
        "vdi-pool-migrate" => |world, request| {
            let vdi = world.find("vdi", request.required("uuid")?)?.uuid();
            let sr = world.find("sr", request.required("sr-uuid")?)?.uuid();
            world.find_mut("vdi", &vdi)?.set("sr-uuid", sr);
            tidy(world);
            Ok(Answer::line(vdi))
        },
        "sr-create" => sr_create,
        "sr-probe" => |world, request| {
            if request.get("type") == Some("lvmoiscsi") {
                return super::iscsi::probe(world, request);
            }
            check_driver(request)?;
            Ok(Answer::line("<?xml version=\"1.0\" ?>\n<SRlist>\n</SRlist>"))
        },
        "sr-introduce" => sr_introduce,
        "sr-scan" | "sr-update" => |world, request| {
            world.find("sr", request.required("uuid")?)?;
            Ok(Answer::nothing())
        },
        "sr-forget" => |world, request| remove_sr(world, request, false),
        "sr-destroy" => |world, request| remove_sr(world, request, true),
        "pbd-create" => pbd_create,
        "pbd-plug" => |world, request| set_plugged(world, request, "true"),
        "pbd-unplug" => |world, request| set_plugged(world, request, "false"),
        "pbd-destroy" => |world, request| {
            let uuid = world.find("pbd", request.required("uuid")?)?.uuid();
            world.remove("pbd", &uuid);
            tidy(world);
            Ok(Answer::nothing())
        },
        _ => return None,
    };
    Some(request.require_all().and_then(|()| act(world, request)))
}

/// Makes a disk.
pub(super) fn disk(world: &mut World, sr: &str, name: &str, size: u64) -> Result<String, Failure> {
    let storage = world.find("sr", sr)?;
    let used: u64 = world
        .all("vdi")
        .filter(|vdi| vdi.is("sr-uuid", sr))
        .map(|vdi| vdi.number("virtual-size"))
        .sum();
    let free = storage.number("physical-size").saturating_sub(used);
    if size > free {
        return Err(Failure::api("SR_FULL", [size.to_string(), free.to_string()]));
    }
    let disk = Object::new("vdi")
        .with("name-label", name)
        .with("sr-uuid", sr)
        .with("sr-name-label", storage.text("name-label"))
        .with("virtual-size", size.to_string());
    let uuid = disk.uuid();
    world.add(disk.with("location", uuid));
    tidy(world);
    Ok(world.objects.last().map(Object::uuid).unwrap_or_default())
}

fn destroy(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let vdi = world.find("vdi", request.required("uuid")?)?;
    let uuid = vdi.uuid();
    let used = world
        .all("vbd")
        .any(|vbd| vbd.is("vdi-uuid", &uuid) && vbd.is("currently-attached", "true"));
    if used {
        return Err(Failure::api("VDI_IN_USE", [vdi.reference(), "destroy".to_owned()]));
    }
    world.remove("vdi", &uuid);
    world.objects.retain(|object| object.class != "vbd" || !object.is("vdi-uuid", &uuid));
    tidy(world);
    Ok(Answer::nothing())
}

fn copy(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let mut vdi = world.find("vdi", request.required("uuid")?)?.clone();
    if let Some(sr) = request.get("sr-uuid") {
        vdi.set("sr-uuid", world.find("sr", sr)?.uuid());
    }
    let uuid = Object::new("vdi").uuid();
    vdi.set("uuid", uuid.as_str());
    vdi.set("location", uuid.as_str());
    if let Some(name) = request.get("new-name-label") {
        vdi.set("name-label", name);
    }
    world.add(vdi);
    tidy(world);
    Ok(Answer::line(uuid))
}

fn check_driver(request: &Request) -> Result<(), Failure> {
    let driver = request.required("type")?;
    if !DRIVERS.contains(&driver) {
        return Err(Failure::api("SR_UNKNOWN_DRIVER", [driver]));
    }
    let config = request.map("device-config");
    let has = |key: &str| config.iter().any(|(own, _)| own == key);
    let failed = |number: u32, text: &str| {
        Failure::api(&format!("SR_BACKEND_FAILURE_{number}"), ["", text, ""])
    };
    match driver {
        "nfs" if !has("serverpath") => {
            Err(failed(108, "Unable to detect an NFS service on this target."))
        }
        "lvmoiscsi" if !has("SCSIid") => {
            Err(failed(97, "Unable to retrieve the host configuration ISCSI IQN parameter"))
        }
        "ext" | "lvm" if !has("device") => {
            Err(failed(90, "The request is missing the device parameter"))
        }
        _ => Ok(()),
    }
}

/// Adds a storage, plugged into the first host.
pub(super) fn add_sr(world: &mut World, uuid: &str, name: &str, driver: &str, content: &str) {
    let host = world.only("host").cloned().unwrap_or_else(|_| Object::new("host"));
    world.add(
        Object::with_uuid("sr", uuid)
            .with("name-label", name)
            .with("host", host.text("name-label"))
            .with("type", driver)
            .with("content-type", content)
            .with("physical-size", "2000000000000"),
    );
    world.add(
        Object::new("pbd")
            .with("host", host.uuid())
            .with("host-uuid", host.uuid())
            .with("host-name-label", host.text("name-label"))
            .with("sr-uuid", uuid)
            .with("sr-name-label", name)
            .with("currently-attached", "true"),
    );
    tidy(world);
}

fn sr_create(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    check_driver(request)?;
    let uuid = Object::new("sr").uuid();
    let (name, driver) = (request.required("name-label")?, request.required("type")?);
    add_sr(world, &uuid, name, driver, request.get("content-type").unwrap_or(""));
    let config = request.map("device-config");
    if let Some(pbd) = world.objects.iter_mut().find(|pbd| pbd.is("sr-uuid", &uuid)) {
        for (key, value) in config {
            pbd.set_key("device-config", &key, &value);
        }
    }
    world.find_mut("sr", &uuid)?.set("shared", request.get("shared").unwrap_or("false"));
    Ok(Answer::line(uuid))
}

/// Knows a storage again, which is attached nowhere yet.
fn sr_introduce(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let uuid = request.required("uuid")?;
    if world.object("sr", uuid).is_some() {
        return Err(Failure::internal(format!("there is an SR {uuid} already")));
    }
    let sr = Object::with_uuid("sr", uuid)
        .with("name-label", request.required("name-label")?)
        .with("type", request.required("type")?)
        .with("content-type", request.get("content-type").unwrap_or(""))
        .with("shared", request.get("shared").unwrap_or("false"))
        .with("physical-size", "2000000000000");
    Ok(Answer::line(world.add(sr)))
}

fn remove_sr(world: &mut World, request: &Request, with_content: bool) -> Result<Answer, Failure> {
    let sr = world.find("sr", request.required("uuid")?)?;
    let uuid = sr.uuid();
    if world.all("pbd").any(|p| p.is("sr-uuid", &uuid) && p.is("currently-attached", "true")) {
        return Err(Failure::api("SR_HAS_PBD", [sr.reference()]));
    }
    if with_content && world.all("vdi").any(|vdi| vdi.is("sr-uuid", &uuid)) {
        return Err(Failure::api::<String>("SR_NOT_EMPTY", []));
    }
    world.objects.retain(|object| {
        !(["pbd", "vdi"].contains(&object.class.as_str()) && object.is("sr-uuid", &uuid))
    });
    world.remove("sr", &uuid);
    Ok(Answer::nothing())
}

fn pbd_create(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let host = world.find("host", request.required("host-uuid")?)?;
    let sr = world.find("sr", request.required("sr-uuid")?)?;
    let mut pbd = Object::new("pbd")
        .with("host", host.uuid())
        .with("host-uuid", host.uuid())
        .with("host-name-label", host.text("name-label"))
        .with("sr-uuid", sr.uuid())
        .with("sr-name-label", sr.text("name-label"));
    for (key, value) in request.map("device-config") {
        pbd.set_key("device-config", &key, &value);
    }
    let uuid = world.add(pbd);
    tidy(world);
    Ok(Answer::line(uuid))
}

fn set_plugged(world: &mut World, request: &Request, plugged: &str) -> Result<Answer, Failure> {
    world.find_mut("pbd", request.required("uuid")?)?.set("currently-attached", plugged);
    Ok(Answer::nothing())
}
