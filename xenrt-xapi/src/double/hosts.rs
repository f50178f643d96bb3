//! Hosts, the pool, tasks, messages and secrets.

use super::answer::{Answer, Failure};
use super::life::NOW;
use super::program::Given;
use super::request::Request;
use super::world::{Object, World};

pub(super) fn answer(world: &mut World, request: &Request) -> Given {
    let act: fn(&mut World, &Request) -> Result<Answer, Failure> = match request.name.as_str() {
        "host-enable" => |world, request| set_enabled(world, request, "true"),
        "host-disable" => |world, request| set_enabled(world, request, "false"),
        "host-evacuate" => evacuate,
        "host-reboot" | "host-shutdown" => |world, request| {
            for host in request.selected(world, "host")? {
                if world.find("host", &host)?.is("enabled", "true") {
                    return Err(Failure::api::<String>("HOST_NOT_DISABLED", []));
                }
                if request.name == "host-reboot" {
                    let name = world.find("host", &host)?.text("name-label");
                    world.reboot_host(&name);
                } else {
                    end_all(world, &host);
                }
            }
            Ok(Answer::nothing())
        },
        "host-dmesg" => |world, request| {
            request.selected(world, "host")?;
            Ok(Answer::text("Xen simulator\n"))
        },
        "host-get-vms-which-prevent-evacuation" => |_, _| Ok(Answer::nothing()),
        "pool-sync-database" | "pool-recover-slaves" => |_, _| Ok(Answer::nothing()),
        "pool-designate-new-master" => |world, request| {
            let host = world.find("host", request.required("host-uuid")?)?.uuid();
            if let Some(pool) = world.objects.iter_mut().find(|object| object.class == "pool") {
                pool.set("master", host);
            }
            Ok(Answer::nothing())
        },
        // Of the host of an address that is known it is carried out between two worlds.
        "pool-join" => |_, _| Err(Failure::internal("Connection failed: connection refused.")),
        "pool-eject" => |world, request| {
            let host = world.find("host", request.required("host-uuid")?)?.uuid();
            let mut said = lost_with(world, &host);
            if let Err(answer) = request.confirmed(&mut said)? {
                return Ok(answer);
            }
            if world.only("pool")?.is("master", &host) {
                return Err(Failure::internal("Xapi_pool.Cannot_eject_master"));
            }
            world.remove("host", &host);
            Ok(Answer::nothing())
        },
        "host-syslog-reconfigure" => |world, request| {
            world.find("host", request.required("host-uuid")?)?;
            Ok(Answer::nothing())
        },
        "task-cancel" => |world, request| {
            let task = world.find_mut("task", request.required("uuid")?)?;
            task.set("current_operations", "Cancel");
            if task.is("status", "pending") {
                task.set("status", "cancelled");
            }
            Ok(Answer::nothing())
        },
        "message-create" => message_create,
        "message-destroy" => |world, request| {
            let uuid = world.find("message", request.required("uuid")?)?.uuid();
            world.remove("message", &uuid);
            Ok(Answer::nothing())
        },
        "secret-create" => |world, request| {
            let secret = Object::new("secret").with("value", request.required("value")?);
            Ok(Answer::line(world.add(secret)))
        },
        "secret-destroy" => |world, request| {
            let uuid = world.find("secret", request.required("uuid")?)?.uuid();
            world.remove("secret", &uuid);
            Ok(Answer::nothing())
        },
        _ => return None,
    };
    Some(request.require_all().and_then(|()| act(world, request)))
}

/// A host of XCP-ng 8.3.
pub(super) fn host_object(uuid: &str, name: &str, address: &str) -> Object {
    Object::with_uuid("host", uuid)
        .with("name-label", name)
        .with("name-description", "Default install")
        .with("hostname", name)
        .with("address", address)
        .with("display", "enabled")
        .with("API-version-major", "2")
        .with("API-version-minor", "23")
        .with("API-version-vendor", "XenSource")
        .with(
            "software-version",
            "product_version: 8.3.0; product_version_text: 8.3; platform_name: XCP; \
             platform_version: 3.4.0; product_brand: XCP-ng; xen: 4.17.5-13; linux: \
             4.19.0+1; network_backend: openvswitch",
        )
        .with("capabilities", "xen-3.0-x86_64; hvm-3.0-x86_32; hvm-3.0-x86_32p; hvm-3.0-x86_64; ")
        .with(
            "cpu_info",
            "cpu_count: 8; socket_count: 1; vendor: GenuineIntel; modelname: Simulated CPU",
        )
        .with("edition", "xcp-ng")
        .with("memory-overhead", "536870912")
        .with("memory-total", "1099511627776")
        .with("memory-free-computed", "1097888432128")
}

/// What is said before a host is taken out of the pool: its own storage goes with it.
fn lost_with(world: &World, host: &str) -> String {
    let mut said = String::from(
        "WARNING: Ejecting a host from the pool will reinitialise that host's local SRs.\n\
         WARNING: Any data contained with the local SRs will be lost.\n\
         The following VDI objects will be destroyed:\n",
    );
    let own = |sr: &str| {
        world.object("sr", sr).is_some_and(|sr| sr.is("shared", "false"))
            && world.all("pbd").any(|pbd| pbd.is("sr-uuid", sr) && pbd.is("host-uuid", host))
    };
    for disk in world.all("vdi").filter(|disk| own(&disk.text("sr-uuid"))) {
        said.push_str(&format!("VDI: {}\n", disk.reference()));
    }
    said
}

fn set_enabled(world: &mut World, request: &Request, enabled: &str) -> Result<Answer, Failure> {
    for host in request.selected(world, "host")? {
        world.find_mut("host", &host)?.set("enabled", enabled);
    }
    Ok(Answer::nothing())
}

fn residents(world: &World, host: &str) -> Vec<String> {
    let here = world.all("vm").filter(|vm| {
        vm.is("resident-on", host) && vm.is("is-control-domain", "false") && !vm.is("dom-id", "-1")
    });
    here.map(Object::uuid).collect()
}

fn evacuate(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    for host in request.selected(world, "host")? {
        let vms = residents(world, &host);
        if vms.is_empty() {
            continue;
        }
        let other = world.all("host").find(|o| !o.is("uuid", &host) && o.is("enabled", "true"));
        let Some(other) = other.map(Object::uuid) else {
            return Err(Failure::api::<String>("NO_HOSTS_AVAILABLE", []));
        };
        for vm in vms {
            world.domains += 1;
            let domain = world.domains.to_string();
            let vm = world.find_mut("vm", &vm)?;
            vm.set("resident-on", other.as_str());
            vm.set("dom-id", domain);
        }
    }
    Ok(Answer::nothing())
}

/// Ends all domains of a host but its control domain.
pub(super) fn end_all(world: &mut World, host: &str) {
    for vm in residents(world, host) {
        super::life::end(world, &vm, "halted");
    }
}

fn message_create(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let of =
        |class: &str| request.get(&format!("{class}-uuid")).map(|uuid| (class.to_owned(), uuid));
    let about = ["vm", "host", "sr", "pool"].into_iter().find_map(of);
    let (class, uuid) = about.ok_or_else(|| Failure::Client("No object given".to_owned()))?;
    world.find(&class, uuid)?;
    let shown = if class == "vm" || class == "sr" { class.to_uppercase() } else { class };
    let message = Object::new("message")
        .with("name", request.required("name")?)
        .with("priority", request.required("priority")?)
        .with("class", shown)
        .with("obj-uuid", uuid)
        .with("timestamp", NOW)
        .with("body", request.required("body")?);
    world.objects.insert(0, message);
    Ok(Answer::nothing())
}
