//! The hypervisor's own view: what `xl list -v` prints.

use std::time::{SystemTime, UNIX_EPOCH};

use super::answer::Answer;
use super::defects::Defect;
use super::store::HOST_VARIABLE;
use super::world::{Object, World};

/// The answer of `xl`.
pub(super) fn answer(world: &World, arguments: &[String]) -> Answer {
    if arguments != ["list", "-v"] {
        return Answer::failed("xl-double: only `xl list -v` is there\n");
    }
    let mut text = format!(
        "{:<40} {:>5} {:>5} {:>5} {:<9} {:>8} {:<36} {:<8} {:>16}\n",
        "Name", "ID", "Mem", "VCPUs\tState", "", "Time(s)", "UUID", "Reason-Code", "Security Label"
    );
    let stands = |defect| world.defect == Some(defect);
    let seconds = seconds();
    if !stands(Defect::ControlDomainHidden) {
        text.push_str(&line(
            "Domain-0",
            "0",
            1024,
            2,
            "r-----",
            "00000000-0000-0000-0000-000000000000",
            seconds,
        ));
    }
    // The dom0 of one host of a pool sees the domains of that host alone.
    let own = std::env::var(HOST_VARIABLE).ok();
    let own = world.all("host").find(|host| own.as_deref() == Some(&host.text("name-label")));
    for vm in world.all("vm").filter(|vm| vm.is("is-a-template", "false")) {
        let id = vm.text("dom-id");
        let elsewhere = own.is_some_and(|host| !vm.is("resident-on", &host.uuid()))
            && !stands(Defect::MigrateLeavesSource);
        if vm.is("is-control-domain", "true") || id == "-1" || elsewhere {
            continue;
        }
        let state = match vm.text("power-state").as_str() {
            _ if stands(Defect::PauseHiddenFromHypervisor) => "-b----",
            _ if vm.hidden("crashed").is_some() => "--psc-",
            "paused" => "--p---",
            _ => "-b----",
        };
        let (name, uuid) = (vm.text("name-label"), vm.uuid());
        text.push_str(&line(&name, &id, mib(vm), vm.number("VCPUs-number"), state, &uuid, seconds));
    }
    Answer::text(text)
}

fn mib(vm: &Object) -> u64 {
    vm.number("memory-dynamic-max") >> 20
}

/// It grows, whatever the guests do.
fn seconds() -> f64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
    (time % 100_000_000) as f64 / 1000.0
}

fn line(
    name: &str,
    id: &str,
    memory: u64,
    vcpus: u64,
    state: &str,
    uuid: &str,
    seconds: f64,
) -> String {
    format!(
        "{name:<40} {id:>5} {memory:>5} {vcpus:>5}     {state}  {seconds:>8.1} {uuid} {:>8} {:>16}\n",
        "-", "-"
    )
}
