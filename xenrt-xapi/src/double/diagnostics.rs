//! What is told besides lists: why a VM can or cannot start, the memory of the process, what is
//! measured, plug-ins, and where an error came from.

use super::answer::{Answer, Failure};
use super::drives::chosen;
use super::life;
use super::pools::METRIC;
use super::printer;
use super::program::Given;
use super::request::Request;
use super::world::{Object, World};

/// What stands before the name of a number of the process that runs on a host.
pub(super) const OF_PROCESS: &str = "process ";
/// The thread of that process which a command runs in.
pub(super) const THREAD: &str = "thread";

/// The numbers of the process, in the order in which they are told.
const NUMBERS: &[&str] = &[
    "minor_words",
    "promoted_words",
    "major_words",
    "minor_collections",
    "major_collections",
    "heap_words",
    "heap_chunks",
    "live_words",
    "live_blocks",
    "free_words",
    "free_blocks",
    "largest_free",
    "fragments",
    "compactions",
    "top_heap_words",
];

pub(super) fn answer(world: &mut World, request: &Request) -> Given {
    let act: fn(&mut World, &Request) -> Result<Answer, Failure> = match request.name.as_str() {
        "diagnostic-vm-status" => |world, request| status(world, request.required("uuid")?),
        "diagnostic-gc-stats" => |world, _| {
            let host = world.only("host")?;
            let value = |name: &str| host.hidden(&format!("{OF_PROCESS}{name}")).unwrap_or("0");
            let rows = NUMBERS.iter().map(|name| ((*name).to_owned(), value(name).to_owned()));
            Ok(Answer::text(printer::record(&rows.collect::<Vec<_>>())))
        },
        "sr-data-source-list" => |world, request| {
            let sr = world.find("sr", request.required("uuid")?)?;
            let names = sr.hidden.keys().filter_map(|key| key.strip_prefix(METRIC));
            let record = |name: &str| {
                printer::record(&[
                    ("name_label".to_owned(), name.to_owned()),
                    ("enabled".to_owned(), "true".to_owned()),
                ])
            };
            Ok(Answer::text(names.map(record).collect::<String>()))
        },
        "vm-call-plugin" => call_plugin,
        _ => return None,
    };
    Some(request.require_all().and_then(|()| act(world, request)))
}

/// What a VM is, whether its disks can be attached, and which hosts it could start on.
fn status(world: &World, uuid: &str) -> Result<Answer, Failure> {
    let vm = world.find("vm", uuid)?;
    let shown = ["uuid", "name-label", "power-state", "possible-hosts"];
    let mut text = printer::object(vm, &chosen("vm", None, &shown), false);
    text.push_str("Checking to see whether disks are attachable\n");
    let shown = [
        "uuid",
        "vdi-uuid",
        "empty",
        "device",
        "userdevice",
        "mode",
        "type",
        "attachable",
        "storage-lock",
    ];
    let own: Vec<&Object> = world.all("vbd").filter(|vbd| vbd.is("vm-uuid", uuid)).collect();
    for vbd in &own {
        text.push_str(&printer::object(vbd, &chosen("vbd", None, &shown), false));
    }
    text.push_str("Checking to see whether VM can boot on each host\n");
    let rows: Vec<(String, String)> = world
        .all("host")
        .map(|host| {
            let can = match life::cannot_start(world, vm, host) {
                None => "OK".to_owned(),
                Some(reason) => format!("Cannot start here [{reason}]"),
            };
            (host.text("name-label"), can)
        })
        .collect();
    text.push_str(&printer::record(&rows));
    let mut storages = own
        .iter()
        .filter_map(|vbd| world.object("vdi", &vbd.text("vdi-uuid")))
        .filter_map(|vdi| world.object("sr", &vdi.text("sr-uuid")));
    text.push_str(&match storages.find(|sr| sr.is("shared", "false")) {
        Some(sr) => format!(
            "VM is not agile because: VM requires access to non-shared SR: {}. SR must both be marked \
             as shared and a properly configured PBD must be plugged-in on every host\n",
            sr.reference()
        ),
        None => "VM is agile.\n".to_owned(),
    });
    Ok(Answer::text(text))
}

/// The guests of this world let nobody control them from outside.
fn call_plugin(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    world.find("vm", request.required("vm-uuid")?)?;
    let (plugin, function) = (request.required("plugin")?, request.required("fn")?);
    if plugin != "guest-agent-operation" {
        return Err(Failure::api("XENAPI_MISSING_PLUGIN", [plugin]));
    }
    let text = format!(
        "The requested fn \"{function}\" of plugin \"{plugin}\" could not be executed for lack of guest \
         agent control feature."
    );
    Err(Failure::api(
        "XENAPI_PLUGIN_FAILURE",
        ["failed to execute fn", text.as_str(), text.as_str()],
    ))
}

/// The answer of a command that failed; with `--trace` it tells where a failure of the command line
/// came from.
pub(super) fn traced(world: &World, request: &Request, failure: Failure) -> Answer {
    let raised = match &failure {
        Failure::Client(text) if request.flag("trace").unwrap_or(false) => {
            Some(format!("Raised Cli_util.Cli_failure({text:?})\n"))
        }
        _ => None,
    };
    let mut answer = failure.answer();
    if let (Some(raised), Ok(host)) = (raised, world.only("host")) {
        let (name, thread) = (host.text("name-label"), host.hidden(THREAD).unwrap_or("1"));
        answer.stderr.push_str(&format!(
            "{raised}Backtrace:\n/opt/xensource/bin/xapi @ {name}: Thread {thread} has no backtrace table"
        ));
    }
    answer
}
