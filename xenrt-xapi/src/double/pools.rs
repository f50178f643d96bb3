//! What a pool does beyond its guests: high availability, emergencies, licences, patches, reports,
//! and guests that leave for another pool.

use std::path::PathBuf;

use super::answer::{Answer, Failure};
use super::life::{self, expect};
use super::program::Given;
use super::request::Request;
use super::store::Double;
use super::traffic;
use super::world::{Content, Object, World};

/// What a pool keeps of its licence, beyond what xapi shows.
const HA: &str = "ha";
const EDITIONS: &str = "editions";
/// What stands before the name of a metric that an object has.
pub(super) const METRIC: &str = "metric ";

pub(super) fn answer(world: &mut World, request: &Request) -> Given {
    let act: fn(&mut World, &Request) -> Result<Answer, Failure> = match request.name.as_str() {
        "pool-ha-enable" => enable_ha,
        "pool-ha-disable" => |world, _| {
            let pool = pool_mut(world)?;
            pool.set("ha-enabled", "false");
            pool.set("ha-statefiles", "");
            Ok(Answer::nothing())
        },
        "host-is-in-emergency-mode" => |world, _| Ok(Answer::line(world.emergency.to_string())),
        "pool-emergency-transition-to-master" => |world, request| {
            if !world.emergency && !request.flag("force")? {
                return Err(Failure::api::<String>("NOT_IN_EMERGENCY_MODE", []));
            }
            let own = traffic::own_host(world).map(Object::uuid).unwrap_or_default();
            pool_mut(world)?.set("master", own);
            world.emergency = false;
            Ok(Answer::nothing())
        },
        "pool-emergency-reset-master" => |world, request| {
            let address = request.required("master-address")?;
            let master = world.all("host").find(|host| host.is("address", address));
            let Some(master) = master.map(Object::uuid) else {
                return Err(Failure::internal("Connection failed: connection refused."));
            };
            pool_mut(world)?.set("master", master);
            world.emergency = false;
            Ok(Answer::nothing())
        },
        "host-apply-edition" => apply_edition,
        "patch-upload" | "update-upload" => upload,
        "patch-apply" => |world, request| {
            let host = request.required("host-uuid")?.to_owned();
            apply(world, request, "patch", &host)
        },
        "update-apply" => |world, request| {
            let named = request.get("host").unwrap_or_default();
            let host = life::host(world, named)?;
            apply(world, request, "update", &host)
        },
        "host-crashdump-destroy" => |world, request| {
            let uuid = world.find("crashdump", request.required("uuid")?)?.uuid();
            world.remove("crashdump", &uuid);
            Ok(Answer::nothing())
        },
        "host-get-system-status" => system_status,
        "host-data-source-query" => |world, request| {
            let host = request.selected(world, "host")?.swap_remove(0);
            metric(world.find("host", &host)?, request)
        },
        "vm-data-source-query" => |world, request| {
            let vm = request.vm(world)?;
            expect(world, &vm, &["running"])?;
            metric(world.find("vm", &vm)?, request)
        },
        _ => return None,
    };
    Some(request.require_all().and_then(|()| act(world, request)))
}

fn pool_mut(world: &mut World) -> Result<&mut Object, Failure> {
    let pool = world.only("pool")?.uuid();
    world.find_mut("pool", &pool)
}

fn enable_ha(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    if world.only("pool")?.hidden(HA).is_none() {
        return Err(Failure::api("LICENCE_RESTRICTION", ["HA"]));
    }
    if world.only("pool")?.is("ha-enabled", "true") {
        return Err(Failure::api::<String>("HA_IS_ENABLED", []));
    }
    let shared = |sr: &&Object| sr.is("shared", "true");
    let heartbeats: Vec<String> = match request.get("heartbeat-sr-uuids") {
        Some(listed) => listed.split(',').map(str::to_owned).collect(),
        None => world.all("sr").filter(shared).map(Object::uuid).take(1).collect(),
    };
    for sr in &heartbeats {
        let sr = world.find("sr", sr)?;
        if !shared(&sr) {
            return Err(Failure::api("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", [sr.reference()]));
        }
    }
    if heartbeats.is_empty() {
        return Err(Failure::api::<String>("HA_FAILED_TO_FORM_LIVESET", []));
    }
    let pool = pool_mut(world)?;
    pool.set("ha-enabled", "true");
    pool.set("ha-statefiles", heartbeats.join("; "));
    Ok(Answer::nothing())
}

fn apply_edition(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let edition = request.required("edition")?;
    let known = world.only("pool")?.hidden(EDITIONS).unwrap_or("xcp-ng");
    if !known.split(' ').any(|own| own == edition) {
        let refused = Failure::api("INVALID_EDITION", [edition]).answer();
        let said = format!("Valid editions are: {}\n", known.replace(' ', ", "));
        return Err(Failure::Text(said + &refused.stderr));
    }
    let own = traffic::own_host(world).map(Object::uuid).unwrap_or_default();
    let host = request.get("host-uuid").unwrap_or(&own).to_owned();
    world.find_mut("host", &host)?.set("edition", edition);
    Ok(Answer::nothing())
}

/// A file of dom0 becomes a patch or an update of its name; one that is empty is none.
fn upload(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let file = request.required("file-name")?;
    let missing =
        |_| Failure::Text(format!("Operation failed. Error: file '{file}' does not exist\n"));
    let bytes = std::fs::read(file).map_err(missing)?;
    let class = if request.name == "patch-upload" { "patch" } else { "update" };
    if bytes.is_empty() && class == "patch" {
        return Err(Failure::api::<String>("INVALID_PATCH", []));
    } else if bytes.is_empty() {
        return Err(Failure::api("INVALID_UPDATE", [file]));
    }
    let name = file.rsplit('/').next().unwrap_or(file);
    if let Some(there) = world.all(class).find(|own| own.is("name-label", name)) {
        let code = format!("{}_ALREADY_EXISTS", class.to_uppercase());
        return Err(Failure::Api(code, vec![there.uuid()]));
    }
    let made = Object::new(class).with("name-label", name).with("size", bytes.len().to_string());
    Ok(Answer::line(world.add(made)))
}

fn apply(world: &mut World, request: &Request, class: &str, host: &str) -> Result<Answer, Failure> {
    let what = world.find(class, request.required("uuid")?)?;
    let (uuid, reference) = (what.uuid(), what.reference());
    let field = format!("{class}es").replace("updatees", "updates");
    let host = world.find_mut("host", host)?;
    let mut applied = match host.content(&field) {
        Content::Set(applied) => applied,
        _ => Vec::new(),
    };
    if applied.contains(&uuid) {
        let code = format!("{}_ALREADY_APPLIED", class.to_uppercase());
        return Err(Failure::Api(code, vec![reference]));
    }
    applied.push(uuid.clone());
    host.put(&field, Content::Set(applied));
    let host = host.uuid();
    let what = world.find_mut(class, &uuid)?;
    if let Content::Set(mut hosts) = what.content("hosts") {
        hosts.push(host);
        what.put("hosts", Content::Set(hosts));
    }
    Ok(Answer::nothing())
}

fn system_status(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let host = request.selected(world, "host")?.swap_remove(0);
    let (host, file) = (world.find("host", &host)?, request.required("filename")?);
    let entries = request.get("entries").unwrap_or("all");
    let report = format!("status of {}: {entries}\n", host.reference());
    let failed = |error| Failure::Text(format!("Operation failed. Error: {file}: {error}\n"));
    std::fs::write(file, report).map_err(failed)?;
    Ok(Answer::nothing())
}

fn metric(object: &Object, request: &Request) -> Result<Answer, Failure> {
    let name = request.required("data-source")?;
    match object.hidden(&format!("{METRIC}{name}")) {
        Some(value) => Ok(Answer::line(value)),
        None => Err(Failure::internal(format!("no data source {name}"))),
    }
}

/// Moves a VM with its disks into the world of another pool, where it goes on.
pub(super) fn leave(world: &mut World, vm: &str, request: &Request) -> Result<Answer, Failure> {
    expect(world, vm, &["running"])?;
    let address = request.required("remote-master")?;
    let Some(path) = world.pools.get(address) else {
        return Err(Failure::internal("Connection failed: connection refused."));
    };
    let login = (request.required("remote-username")?, request.required("remote-password")?);
    let moved = Double::open(path).change(|there| {
        let known = there.login.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
        if known != Some(login) {
            return Err(Failure::api::<String>("SESSION_AUTHENTICATION_FAILED", []));
        }
        let mut after = there.clone();
        arrive(world, &mut after, vm, request)?;
        *there = after;
        Ok(())
    });
    moved.map_err(|error| Failure::internal(error.to_string()))??;
    for disk in life::disks_of(world, vm) {
        world.remove("vdi", &disk);
    }
    life::forget(world, vm);
    Ok(Answer::nothing())
}

fn arrive(here: &World, there: &mut World, vm: &str, request: &Request) -> Result<(), Failure> {
    if let Some(network) = request.get("remote-network") {
        there.find("network", network)?;
    }
    let host = match request.get("host-uuid").or(request.get("host")) {
        Some(name) => life::host(there, name)?,
        None => there.only("host")?.uuid(),
    };
    let (networks, storages) = (request.map("vif"), request.map("vdi"));
    let mapped = |map: &[(String, String)], uuid: &str| {
        map.iter().find(|(own, _)| own == uuid).map(|(_, to)| to.clone())
    };
    let mut object = here.find("vm", vm)?.clone();
    for mut vif in here.all("vif").filter(|vif| vif.is("vm-uuid", vm)).cloned() {
        let name = vif.text("network-name-label");
        let same = || there.all("network").find(|own| own.is("name-label", &name));
        let to = mapped(&networks, &vif.uuid()).or_else(|| same().map(Object::uuid));
        let to = to.ok_or_else(|| Failure::api("VIF_NOT_IN_MAP", [vif.uuid()]))?;
        let network = there.find("network", &to)?;
        vif.set("network-uuid", network.uuid());
        vif.set("network-name-label", network.text("name-label"));
        there.add(vif);
    }
    let default = there.only("pool")?.text("default-SR");
    for vbd in here.all("vbd").filter(|vbd| vbd.is("vm-uuid", vm)).cloned() {
        if let Some(mut disk) = here.object("vdi", &vbd.text("vdi-uuid")).cloned() {
            let to = mapped(&storages, &disk.uuid()).unwrap_or_else(|| default.clone());
            let unmapped = |_| Failure::api("VDI_NOT_IN_MAP", [disk.uuid()]);
            let sr = there.find("sr", &to).map_err(unmapped)?.clone();
            disk.set("sr-uuid", sr.uuid());
            disk.set("sr-name-label", sr.text("name-label"));
            there.add(disk);
        }
        there.add(vbd);
    }
    there.domains += 1;
    object.set("resident-on", host);
    object.set("dom-id", there.domains.to_string());
    object.put("affinity", Content::Null);
    there.add(object);
    life::tidy(there);
    Ok(())
}

impl World {
    /// Lets high availability be turned on: without it, the licence refuses.
    pub fn allow_ha(&mut self) {
        self.note_of_pool(HA, "licensed");
    }

    /// Sets the editions that hosts can be given, separated by spaces.
    pub fn allow_editions(&mut self, editions: &str) {
        self.note_of_pool(EDITIONS, editions);
    }

    pub(super) fn note_of_pool(&mut self, what: &str, value: &str) {
        if let Ok(pool) = pool_mut(self) {
            pool.hidden.insert(what.to_owned(), value.to_owned());
        }
    }

    /// The coordinator is gone: from now on every command is refused but those that decide what is
    /// to become of the pool.
    pub fn lose_coordinator(&mut self) {
        self.emergency = true;
    }

    /// Makes the pool in the world of `other` known by the address of its coordinator, so that guests
    /// can be sent there. Who may log in there is what that world says.
    pub fn know_pool(&mut self, address: &str, other: &Double) {
        self.pools.insert(address.to_owned(), PathBuf::from(other.path()));
    }

    /// Sets what is measured of an object: the value as `xe` prints it.
    pub fn set_metric(&mut self, class: &str, uuid: &str, name: &str, printed: &str) {
        if let Some(object) = self.object_mut(class, uuid) {
            object.hidden.insert(format!("{METRIC}{name}"), printed.to_owned());
        }
    }
}

/// Whether a host in an emergency carries out a command.
pub(super) fn decides(name: &str) -> bool {
    name.starts_with("pool-emergency-") || name == "host-is-in-emergency-mode"
}
