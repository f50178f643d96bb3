//! The program: what the `xe` client does with its arguments, and what the server answers.

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use super::answer::{Answer, Failure};
use super::client::{Client, USAGE, client};
use super::request::Request;
use super::rules::{self, Effect};
use super::store::{Double, HOST_VARIABLE, STATE_VARIABLE};
use super::world::World;
use super::{
    addresses, database, defects, devices, diagnostics, drives, help, hosts, life, lists, members,
    networks, pools, storage, templates, traffic, xl,
};

/// The programs of dom0 that the double is, by the name that it is called by. A test that wants the
/// network of guests links all of them; `xe` is enough for many, and `systemctl` keeps a test from
/// rebooting the machine that it runs on.
pub const PROGRAMS: &[&str] =
    &["xe", "xl", "systemctl", "dmesg", "ip", "iperf", "ping", "ss", "tcpdump"];

/// How long an `event-wait` sleeps between looks at its file.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Runs the double: as one of the [other programs](PROGRAMS) where it is called so, as `xe` otherwise.
/// The world is in the file that [`STATE_VARIABLE`] names.
pub fn main() -> ExitCode {
    let mut words = std::env::args();
    let called = words.next().unwrap_or_default();
    let arguments: Vec<String> = words.collect();
    let Some(path) = std::env::var_os(STATE_VARIABLE) else {
        eprintln!("{STATE_VARIABLE} does not say where the world is");
        return ExitCode::from(2);
    };
    let double = Double::open(path);
    let name = called.rsplit('/').next().unwrap_or_default();
    let answer = match name {
        "xl" => members::world_of(&double)
            .and_then(|double| double.look(|world| xl::answer(world, &arguments))),
        "systemctl" => systemctl(&double, &arguments),
        name if traffic::PROGRAMS.contains(&name) => members::world_of(&double)
            .and_then(|double| traffic::program(&double, name, &arguments)),
        _ => xe(&double, arguments),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            eprintln!("xe-double: {}: {error}", double.path().display());
            return ExitCode::from(2);
        }
    };
    let written = std::io::stdout()
        .write_all(&answer.stdout)
        .and_then(|()| std::io::stderr().write_all(answer.stderr.as_bytes()));
    match (written, u8::try_from(answer.status)) {
        (Ok(()), Ok(status)) => ExitCode::from(status),
        _ => ExitCode::from(2),
    }
}

/// Reboots the host whose dom0 this is, and nothing else.
fn systemctl(double: &Double, arguments: &[String]) -> std::io::Result<Answer> {
    if arguments != ["reboot"] {
        return Ok(Answer::failed("systemctl of the double: only `systemctl reboot` is there\n"));
    }
    let own = std::env::var(HOST_VARIABLE).unwrap_or_default();
    double.change(|world| world.reboot_host(&own))?;
    Ok(Answer::nothing())
}

/// What comes of one look at the world.
enum Step {
    /// The host belongs to the pool whose world is there.
    Joined(std::path::PathBuf),
    /// A rule hits the command.
    Hit(Effect),
    /// It waits for an event.
    Wait(Request),
    /// It may be carried out between two worlds.
    Join(Request),
    Done(Answer),
}

/// A command on its way.
struct Call {
    client: Client,
    /// Rules have been looked at.
    past_rules: bool,
    /// Whether it joins a pool that is known has been looked at.
    past_join: bool,
    /// It says that it was done, and is not.
    lies: bool,
    /// What a person answered to its question.
    typed: Option<String>,
}

fn xe(home: &Double, arguments: Vec<String>) -> std::io::Result<Answer> {
    home.record(&arguments)?;
    let client = match client(arguments) {
        Ok(client) => client,
        Err(answer) => return Ok(answer),
    };
    if client.sent.is_empty() || client.sent.iter().any(|word| word == "--help") {
        return Ok(Answer { stderr: USAGE.to_owned(), ..Answer::default() });
    }
    let mut call = Call { client, past_rules: false, past_join: false, lies: false, typed: None };
    let (mut double, mut lost_after) = (home.clone(), false);
    let mut asked = Vec::new();
    let mut answer = loop {
        match double.visit(|world| step(world, &call))? {
            Step::Joined(pool) => double = Double::open(pool),
            Step::Done(answer) if answer.asked && call.typed.is_none() => {
                // Whoever is to answer sees the question first.
                std::io::stdout().write_all(&answer.stdout)?;
                std::io::stdout().flush()?;
                asked = answer.stdout;
                let mut typed = String::new();
                if std::io::stdin().lock().read_line(&mut typed)? == 0 {
                    break Answer { stdout: asked.clone(), ..answer };
                }
                call.typed = Some(typed.trim_end_matches('\n').to_owned());
                call.past_rules = true;
            }
            Step::Done(answer) => break call.client.tell(answer),
            Step::Wait(request) => break wait(&double, &request)?,
            Step::Join(request) => match members::join(home, &request)? {
                Some(joined) => break joined,
                None => call.past_join = true,
            },
            Step::Hit(effect) => {
                call.past_rules = true;
                if let Some(answer) = effect.answer() {
                    return Ok(answer);
                }
                match effect {
                    Effect::Hangs => loop {
                        std::thread::sleep(Duration::from_secs(60));
                    },
                    Effect::Slow(time) => std::thread::sleep(time),
                    Effect::LostAfter => lost_after = true,
                    Effect::Lies => call.lies = true,
                    // Those that answer in the place of the server.
                    _ => {}
                }
            }
        }
    };
    if call.client.sent.first().is_some_and(|name| name == "pool-eject") && answer.status == 0 {
        let request = Request::read(&call.client.sent.join("\n"));
        if let Ok(request) = request {
            members::send_home(&double, &request)?;
        }
    }
    // What was shown already is not shown again.
    if !asked.is_empty()
        && let Some(rest) = answer.stdout.strip_prefix(asked.as_slice())
    {
        answer.stdout = rest.to_vec();
    }
    Ok(if lost_after { Answer::lost() } else { answer })
}

/// One look at the world, and whether it has changed.
fn step(world: &mut World, call: &Call) -> (Step, bool) {
    if let Some(pool) = &world.joined {
        return (Step::Joined(pool.clone()), false);
    }
    let sent = call.client.sent.join("\n");
    let name = call.client.sent.first().map_or("", String::as_str);
    // Rules that count are changed by being looked at.
    let counted = !call.past_rules && !world.rules.is_empty();
    if counted && let Some(effect) = rules::hit(&mut world.rules, name) {
        return (Step::Hit(effect), true);
    }
    if let Some(failure) = refused(world, &call.client) {
        return (Step::Done(failure.answer()), counted);
    }
    let request = match Request::read(&sent) {
        Ok(request) => request.typed(call.typed.clone()),
        Err(failure) => return (Step::Done(failure.answer()), counted),
    };
    match request.name.as_str() {
        "event-wait" => return (Step::Wait(request), counted),
        "pool-join" if !call.past_join => return (Step::Join(request), counted),
        _ => {}
    }
    if call.lies {
        // Carried out in a world that is thrown away.
        return (Step::Done(carry_out(&mut world.clone(), &request)), counted);
    }
    if asks(&request.name) {
        return (Step::Done(respond_to(&mut world.clone(), &request)), counted);
    }
    let answer = change(world, &request);
    let changed = counted || answer.status == 0;
    (Step::Done(answer), changed)
}

/// Whether a command only asks. Looking at the addresses of a guest counts, for its agent.
fn asks(name: &str) -> bool {
    (name.ends_with("-list") || name.ends_with("-param-get")) && name != "vm-list"
}

fn refused(world: &World, client: &Client) -> Option<Failure> {
    let name = client.sent.first().map_or("", String::as_str);
    if world.emergency && !pools::decides(name) {
        return Some(Failure::api::<String>("HOST_IN_EMERGENCY_MODE", []));
    }
    let server = client.server.as_deref().filter(|server| *server != "127.0.0.1")?;
    match &world.login {
        Some((user, password)) if (user, password) == (&client.user, &client.password) => {}
        _ => return Some(Failure::usage("Authentication failed")),
    }
    let coordinator = world.coordinator.as_deref()?;
    (coordinator != server).then(|| Failure::api("HOST_IS_SLAVE", [coordinator]))
}

fn wait(double: &Double, request: &Request) -> std::io::Result<Answer> {
    loop {
        match double.look(|world| lists::event_holds(world, request))? {
            Ok(true) => return Ok(Answer::nothing()),
            Ok(false) => std::thread::sleep(BETWEEN_LOOKS),
            Err(failure) => return Ok(failure.answer()),
        }
    }
}

/// The answer to arguments in a world without a file, where a person types `typed`; rules that do not
/// take time count.
#[cfg(test)]
pub(super) fn respond(world: &mut World, words: &[String], typed: Option<&str>) -> Answer {
    let client = match client(words.to_vec()) {
        Ok(client) => client,
        Err(answer) => return answer,
    };
    if client.sent.is_empty() {
        return Answer { stderr: USAGE.to_owned(), ..Answer::default() };
    }
    let name = client.sent.first().map_or("", String::as_str);
    if let Some(answer) = rules::hit(&mut world.rules, name).and_then(|effect| effect.answer()) {
        return answer;
    }
    let answer = match Request::read(&client.sent.join("\n")) {
        Ok(request) if request.name == "event-wait" => match lists::event_holds(world, &request) {
            Ok(_) => Answer::nothing(),
            Err(failure) => failure.answer(),
        },
        Ok(request) => carry_out(world, &request.typed(typed.map(str::to_owned))),
        Err(failure) => failure.answer(),
    };
    client.tell(answer)
}

/// Carries out a command that was not sent by a client, with its arguments joined by line ends.
pub(super) fn act(world: &mut World, sent: &str) -> Answer {
    match Request::read(sent) {
        Ok(request) => change(world, &request),
        Err(failure) => failure.answer(),
    }
}

/// Carries out a command; one that fails changes nothing.
fn change(world: &mut World, request: &Request) -> Answer {
    let mut after = world.clone();
    life::account(&mut after);
    let answer = respond_to(&mut after, request);
    life::account(&mut after);
    if answer.status == 0 {
        *world = after;
    }
    answer
}

/// The answer to a command, whatever is broken about this double.
fn respond_to(world: &mut World, request: &Request) -> Answer {
    match world.defect {
        Some(defect) => defects::carry_out(defect, world, request),
        None => carry_out(world, request),
    }
}

pub(super) fn carry_out(world: &mut World, request: &Request) -> Answer {
    let families = [
        lists::answer,
        life::answer,
        templates::answer,
        devices::answer,
        storage::answer,
        networks::answer,
        addresses::answer,
        hosts::answer,
        pools::answer,
        help::answer,
        drives::answer,
        diagnostics::answer,
        database::answer,
    ];
    for family in families {
        if let Some(result) = family(world, request) {
            return result.unwrap_or_else(|failure| diagnostics::traced(world, request, failure));
        }
    }
    Failure::usage(format!("Unknown command: {}", request.name)).answer()
}

/// What a family of commands gives: nothing where the command is none of them.
pub(super) type Given = Option<Result<Answer, Failure>>;
