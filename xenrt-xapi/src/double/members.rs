//! Hosts that join a pool and leave it: what is in one world goes into another.

use std::io;

use super::answer::{Answer, Failure};
use super::life::tidy;
use super::request::Request;
use super::store::Double;
use super::world::{Object, World};

/// The world that a host is in: its own, or that of the pool that it joined.
pub(super) fn world_of(home: &Double) -> io::Result<Double> {
    let joined = home.look(|world| world.joined.clone())?;
    Ok(joined.map_or_else(|| home.clone(), Double::open))
}

/// Carries out `pool-join` where the other host's world is known; nothing for other commands.
pub(super) fn join(home: &Double, request: &Request) -> io::Result<Option<Answer>> {
    if request.name != "pool-join" {
        return Ok(None);
    }
    let value = |key| request.get(key).unwrap_or_default();
    let (own, pool) =
        home.look(|world| (world.clone(), world.peers.get(value("master-address")).cloned()))?;
    let Some(pool) = pool else { return Ok(None) };
    let guests = own
        .all("vm")
        .any(|vm| vm.is("is-control-domain", "false") && vm.is("is-a-template", "false"));
    let failed =
        |code: &str, values: &[&str]| Ok(Some(Failure::api(code, values.iter().copied()).answer()));
    if own.joined.is_some() || own.all("host").count() > 1 {
        return failed("JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS", &[]);
    }
    if guests {
        return failed("JOINING_HOST_CANNOT_HAVE_RUNNING_VMS", &[]);
    }
    let credentials = (value("master-username").to_owned(), value("master-password").to_owned());
    let pool = Double::open(pool);
    let joined = pool.change(|world| {
        let allowed = world.login.as_ref() == Some(&credentials);
        if allowed {
            take_in(world, &own, home);
        }
        allowed
    })?;
    if !joined {
        return failed("SESSION_AUTHENTICATION_FAILED", &[&credentials.0]);
    }
    home.change(|world| world.joined = Some(pool.path().to_owned()))?;
    Ok(Some(Answer::nothing()))
}

/// Brings a host into the world of a pool, with its control domain, interfaces and local storage.
fn take_in(world: &mut World, own: &World, home: &Double) {
    let Ok(host) = own.only("host").cloned() else { return };
    let uuid = host.uuid();
    world.homes.insert(uuid.clone(), home.path().to_owned());
    for object in &own.objects {
        let stays = match object.class.as_str() {
            "host" | "sr" | "pbd" | "vdi" | "pif" => true,
            "vm" => object.is("is-control-domain", "true"),
            _ => false,
        };
        if !stays {
            continue;
        }
        let mut object = object.clone();
        if object.class == "pif" {
            // Networks of a pool go by their bridges.
            let bridge = own.object("network", &object.text("network-uuid"));
            let bridge = bridge.map(|network| network.text("bridge")).unwrap_or_default();
            let same = world.all("network").find(|network| network.is("bridge", &bridge)).cloned();
            if let Some(network) = same {
                object.set("network-uuid", network.uuid());
                object.set("network-name-label", network.text("name-label"));
            }
        }
        world.add(object);
    }
    let from = |world: &World, class: &str, field: &str| -> Vec<Object> {
        let here = world.all(class).filter(|object| object.is(field, "true"));
        here.cloned().collect()
    };
    for sr in from(world, "sr", "shared") {
        let known =
            world.all("pbd").any(|pbd| pbd.is("sr-uuid", &sr.uuid()) && pbd.is("host-uuid", &uuid));
        if !known {
            world.add(
                Object::new("pbd")
                    .with("host", uuid.as_str())
                    .with("host-uuid", uuid.as_str())
                    .with("host-name-label", host.text("name-label"))
                    .with("sr-uuid", sr.uuid())
                    .with("sr-name-label", sr.text("name-label"))
                    .with("currently-attached", "true"),
            );
        }
    }
    // Every host has the VLANs of the pool.
    let vlans: Vec<Object> = world.all("vlan").cloned().collect();
    for vlan in vlans {
        let Some(pif) = world.object("pif", &vlan.text("untagged-PIF")).cloned() else { continue };
        let device = pif.text("device");
        let below = world.all("pif").find(|own| {
            own.is("host-uuid", &uuid) && own.is("device", &device) && own.is("VLAN", "-1")
        });
        let Some(below) = below.map(Object::uuid) else { continue };
        let mut untagged = pif.clone();
        untagged.set("uuid", Object::new("pif").uuid());
        untagged.set("host-uuid", uuid.as_str());
        untagged.set("host-name-label", host.text("name-label"));
        untagged.set("IP-configuration-mode", "None");
        let link = Object::new("vlan")
            .with("tagged-PIF", below)
            .with("untagged-PIF", untagged.uuid())
            .with("tag", vlan.text("tag"));
        untagged.set("vlan-master-of", link.uuid());
        world.add(link);
        world.add(untagged);
    }
    tidy(world);
}

/// A host that was taken out of the pool is what it was before it joined, as if installed anew.
pub(super) fn send_home(pool: &Double, request: &Request) -> io::Result<()> {
    let host = request.get("host-uuid").unwrap_or_default().to_owned();
    let home = pool.change(|world| {
        // The question whether it is to be taken out was answered with no.
        if world.object("host", &host).is_some() {
            return None;
        }
        world.objects.retain(|object| {
            let class = object.class.as_str();
            let of_host = ["pif", "pbd"].contains(&class) && object.is("host-uuid", &host);
            let its_domain = class == "vm" && object.is("resident-on", &host);
            !of_host && !its_domain
        });
        // Its own storage and the ends of its VLANs are nobody's now.
        let orphan = |world: &World, object: &Object| match object.class.as_str() {
            "sr" => !world.all("pbd").any(|pbd| pbd.is("sr-uuid", &object.uuid())),
            "vlan" => world.object("pif", &object.text("untagged-PIF")).is_none(),
            _ => false,
        };
        let gone: Vec<String> =
            world.objects.iter().filter(|object| orphan(world, object)).map(Object::uuid).collect();
        world.objects.retain(|object| {
            let on_it = object.class == "vdi" && gone.contains(&object.text("sr-uuid"));
            !gone.contains(&object.uuid()) && !on_it
        });
        tidy(world);
        world.homes.remove(&host)
    })?;
    match home {
        Some(home) => Double::open(home).change(|world| world.joined = None),
        None => Ok(()),
    }
}

impl World {
    /// A world like [`small`](Self::small) with identities of its own, whose host has this name and
    /// address.
    pub fn small_as(name: &str, address: &str) -> Self {
        let mut world = Self::small();
        let fresh: Vec<(String, String)> = world
            .objects
            .iter()
            .map(|object| (object.uuid(), Object::new(&object.class).uuid()))
            .collect();
        for object in &mut world.objects {
            for field in super::schema::fields(&object.class) {
                let mut text = object.text(field.name);
                if text == "<not in database>" {
                    continue;
                }
                let before = text.clone();
                for (old, new) in &fresh {
                    text = text.replace(old, new);
                }
                if text != before {
                    object.set(field.name, text);
                }
            }
            if object.class == "host" {
                object.set("name-label", name);
                object.set("hostname", name);
                object.set("address", address);
            }
        }
        tidy(&mut world);
        world
    }

    /// Says where the world of the host with this address is, so that its pool can be joined.
    pub fn know_peer(&mut self, address: &str, double: &Double) {
        self.peers.insert(address.to_owned(), double.path().to_owned());
    }
}
