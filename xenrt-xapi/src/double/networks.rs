//! Networks, interfaces, VLANs and bonds.

use super::answer::{Answer, Failure};
use super::life::tidy;
use super::program::Given;
use super::request::Request;
use super::world::{Object, World};

pub(super) fn answer(world: &mut World, request: &Request) -> Given {
    let act: fn(&mut World, &Request) -> Result<Answer, Failure> = match request.name.as_str() {
        "network-create" => network_create,
        "network-destroy" => network_destroy,
        "vlan-create" | "pool-vlan-create" => vlan_create,
        "vlan-destroy" => vlan_destroy,
        "bond-create" => bond_create,
        "bond-destroy" => |world, request| {
            let bond = world.find("bond", request.required("uuid")?)?.clone();
            world.remove("pif", &bond.text("master"));
            world.remove("bond", &bond.uuid());
            tidy(world);
            Ok(Answer::nothing())
        },
        "bond-set-mode" => |world, request| {
            let mode = request.required("mode")?.to_owned();
            let bond = world.find_mut("bond", request.required("uuid")?)?;
            bond.hidden.insert("mode".to_owned(), mode);
            Ok(Answer::nothing())
        },
        "pif-scan" => |world, request| {
            world.find("host", request.required("host-uuid")?)?;
            Ok(Answer::nothing())
        },
        "pif-plug" => |world, request| {
            // It learns the size of frames from its network.
            let pif = world.find("pif", request.required("uuid")?)?;
            let network = world.object("network", &pif.text("network-uuid"));
            let mtu = network.map(|network| network.text("MTU"));
            let pif = world.find_mut("pif", request.required("uuid")?)?;
            pif.set("currently-attached", "true");
            if let Some(mtu) = mtu {
                pif.set("MTU", mtu);
            }
            Ok(Answer::nothing())
        },
        "pif-unplug" => |world, request| {
            world.find_mut("pif", request.required("uuid")?)?.set("currently-attached", "false");
            Ok(Answer::nothing())
        },
        "pif-introduce" => |world, request| {
            let device = request.required("device")?.to_owned();
            let mac = request.get("mac").unwrap_or("52:54:00:00:00:01").to_owned();
            world.find("host", request.required("host-uuid")?)?;
            let pif = pif(world, &device).with("MAC", mac);
            Ok(Answer::line(world.add(pif)))
        },
        "pif-forget" => |world, request| {
            let uuid = world.find("pif", request.required("uuid")?)?.uuid();
            world.remove("pif", &uuid);
            tidy(world);
            Ok(Answer::nothing())
        },
        "host-management-reconfigure" => management_reconfigure,
        _ => return None,
    };
    Some(request.require_all().and_then(|()| act(world, request)))
}

/// xapi is reached through this interface from now on; the host's address is that of it.
fn management_reconfigure(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let pif = world.find("pif", request.required("pif-uuid")?)?.clone();
    if world.only("pool")?.is("ha-enabled", "true") {
        return Err(Failure::api::<String>("HA_IS_ENABLED", []));
    }
    if pif.is("IP-configuration-mode", "None") {
        return Err(Failure::api("PIF_HAS_NO_NETWORK_CONFIGURATION", [pif.uuid()]));
    }
    let host = pif.text("host-uuid");
    for other in world.objects.iter_mut().filter(|own| own.class == "pif") {
        if other.is("host-uuid", &host) {
            let management = if other.uuid() == pif.uuid() { "true" } else { "false" };
            other.set("management", management);
        }
    }
    world.find_mut("host", &host)?.set("address", pif.text("IP"));
    Ok(Answer::nothing())
}

fn pif(world: &World, device: &str) -> Object {
    let host = world.only("host").cloned().unwrap_or_else(|_| Object::new("host"));
    Object::new("pif")
        .with("device", device)
        .with("MAC", "fe:ff:ff:ff:ff:ff")
        .with("currently-attached", "true")
        .with("MTU", "1500")
        .with("VLAN", "-1")
        .with("host-uuid", host.uuid())
        .with("host-name-label", host.text("name-label"))
        .with("physical", "true")
        .with("managed", "true")
        .with("management", "false")
}

/// Adds a network, with an interface where it has one.
pub(super) fn add_network(
    world: &mut World,
    uuid: &str,
    name: &str,
    bridge: &str,
    device: Option<&str>,
) {
    let network =
        Object::with_uuid("network", uuid).with("name-label", name).with("bridge", bridge);
    world.add(network);
    if let Some(device) = device {
        let mac = format!("52:54:00:aa:bb:{:02x}", world.all("pif").count());
        let pif = pif(world, device)
            .with("MAC", mac)
            .with("network-uuid", uuid)
            .with("network-name-label", name)
            .with("management", if device == "eth0" { "true" } else { "false" });
        world.add(pif);
    }
    tidy(world);
}

fn network_create(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let name = request.required("name-label")?;
    let bridge = match request.get("bridge") {
        Some(bridge) => bridge.to_owned(),
        None => format!("xapi{}", world.all("network").count()),
    };
    let network = Object::new("network")
        .with("name-label", name)
        .with("name-description", request.get("name-description").unwrap_or(""))
        .with("MTU", request.get("MTU").unwrap_or("1500"))
        .with("bridge", bridge);
    Ok(Answer::line(world.add(network)))
}

fn network_destroy(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let network = world.find("network", request.required("uuid")?)?;
    for (class, code) in [("pif", "NETWORK_CONTAINS_PIF"), ("vif", "NETWORK_CONTAINS_VIF")] {
        let users: Vec<String> = world
            .all(class)
            .filter(|user| user.is("network-uuid", &network.uuid()))
            .filter(|user| class == "pif" || user.is("currently-attached", "true"))
            .map(Object::uuid)
            .collect();
        if !users.is_empty() {
            return Err(Failure::Api(code.to_owned(), users));
        }
    }
    let uuid = network.uuid();
    world.remove("network", &uuid);
    Ok(Answer::nothing())
}

/// The network is attached to another interface; xapi names the host where it should name the
/// network.
fn connected(world: &World, network: &str) -> Result<(), Failure> {
    let Some(pif) = world.all("pif").find(|pif| pif.is("network-uuid", network)) else {
        return Ok(());
    };
    let host = world.find("host", &pif.text("host-uuid"))?.reference();
    Err(Failure::api("NETWORK_ALREADY_CONNECTED", [host, pif.uuid()]))
}

fn vlan_create(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let network = world.find("network", request.required("network-uuid")?)?.clone();
    let tagged = world.find("pif", request.required("pif-uuid")?)?.clone();
    connected(world, &network.uuid())?;
    let tag = request.required("vlan")?;
    if !tag.parse().is_ok_and(|tag: u32| (1..4095).contains(&tag)) {
        return Err(Failure::api("VLAN_TAG_INVALID", [tag]));
    }
    let untagged = pif(world, &tagged.text("device"))
        .with("host-uuid", tagged.text("host-uuid"))
        .with("host-name-label", tagged.text("host-name-label"))
        .with("VLAN", tag)
        .with("physical", "false")
        .with("network-uuid", network.uuid())
        .with("network-name-label", network.text("name-label"));
    let vlan = Object::new("vlan")
        .with("tagged-PIF", tagged.uuid())
        .with("untagged-PIF", untagged.uuid())
        .with("tag", tag);
    let untagged = untagged.with("vlan-master-of", vlan.uuid());
    world.add(vlan);
    let uuid = world.add(untagged);
    tidy(world);
    Ok(Answer::line(uuid))
}

fn vlan_destroy(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let vlan = world.find("vlan", request.required("uuid")?)?.clone();
    world.remove("pif", &vlan.text("untagged-PIF"));
    world.remove("vlan", &vlan.uuid());
    tidy(world);
    Ok(Answer::nothing())
}

fn bond_create(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let network = world.find("network", request.required("network-uuid")?)?.clone();
    let slaves: Vec<&str> = request.required("pif-uuids")?.split(',').collect();
    for slave in &slaves {
        world.find("pif", slave)?;
    }
    let master = pif(world, "bond0")
        .with("physical", "false")
        .with("network-uuid", network.uuid())
        .with("network-name-label", network.text("name-label"));
    let mode = request.get("mode").unwrap_or("balance-slb");
    let bond = Object::new("bond")
        .with_hidden("mode", mode)
        .with("master", master.uuid())
        .with("slaves", slaves.join("; "));
    world.add(master.with("bond-master-of", bond.uuid()));
    let uuid = world.add(bond);
    tidy(world);
    Ok(Answer::line(uuid))
}
