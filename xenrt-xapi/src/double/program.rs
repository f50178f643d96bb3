//! The program: what the `xe` client does with its arguments, and what the server answers.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use super::answer::{Answer, Failure};
use super::request::Request;
use super::rules::{self, Effect};
use super::store::{Double, HOST_VARIABLE, STATE_VARIABLE};
use super::world::World;
use super::{
    defects, devices, hosts, life, lists, members, networks, pools, storage, templates, traffic, xl,
};

/// The programs of dom0 that the double is, by the name that it is called by. A test that wants the
/// network of guests links all of them; `xe` is enough for many, and `systemctl` keeps a test from
/// rebooting the machine that it runs on.
pub const PROGRAMS: &[&str] =
    &["xe", "xl", "systemctl", "dmesg", "ip", "iperf", "ping", "ss", "tcpdump"];

const USAGE: &str = "Usage:
  xe <command>
    [ -s <server> ]            XenServer host
    [ -p <port> ]              XenServer port number
    [ -u <username> -pw <password> | -pwf <password file> ]
                               User authentication (password or file)
    [ --nossl ]                Disable SSL/TLS
    [ --debug ]                Enable debug output
    [ --debug-on-fail ]        Enable debug output only on failure
    [ --minimal ]              Output only values in a comma-separated lists
    [ --traceparent <value> ]  Distributed tracing context
    [ --trace ]                Show task stacktrace on failure
    [ <other arguments> ... ]  Command-specific options

A full list of commands can be obtained by running
  xe help -s <server> -p <port>
";

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

/// What the client takes for itself.
#[derive(Default)]
struct Client {
    server: Option<String>,
    user: String,
    password: String,
    sent: Vec<String>,
}

fn client(arguments: Vec<String>) -> Result<Client, Answer> {
    let mut client = Client::default();
    let mut words = arguments.into_iter().chain(extra_arguments()).chain(prepared());
    while let Some(word) = words.next() {
        let mut next = || words.next().unwrap_or_default();
        match word.as_str() {
            "-s" | "-h" => client.server = Some(next()),
            "-p" => check_port(&next())?,
            "-u" => client.user = next(),
            "-pw" => client.password = next(),
            "-pwf" => (client.user, client.password) = password_file(&next())?,
            "--nossl" | "--debug" | "--debug-on-fail" => {}
            _ => match word.split_once('=') {
                Some(("server", server)) => client.server = Some(server.to_owned()),
                Some(("port", port)) => check_port(port)?,
                Some(("username", user)) => client.user = user.to_owned(),
                Some(("password", password)) => client.password = password.to_owned(),
                Some(("passwordfile", path)) => {
                    (client.user, client.password) = password_file(path)?;
                }
                Some(("nossl" | "debug" | "debugonfail" | "traceparent", _)) => {}
                _ => client.sent.push(word),
            },
        }
    }
    Ok(client)
}

/// `XE_EXTRA_ARGS`: joined by commas; `\,` is a comma, and then every backslash goes.
fn extra_arguments() -> Vec<String> {
    let Ok(text) = std::env::var("XE_EXTRA_ARGS") else { return Vec::new() };
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in text.chars() {
        match (c, words.last_mut()) {
            (',', _) if before != '\\' => words.push(String::new()),
            (c, Some(word)) if c != '\\' => word.push(c),
            _ => {}
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The lines of `~/.xe`, each an argument.
fn prepared() -> Vec<String> {
    let Some(home) = std::env::var_os("HOME") else { return Vec::new() };
    let text = std::fs::read_to_string(std::path::Path::new(&home).join(".xe")).unwrap_or_default();
    text.lines().filter(|line| line.contains('=')).map(str::to_owned).collect()
}

fn check_port(text: &str) -> Result<(), Answer> {
    if text.parse::<u16>().is_ok() {
        return Ok(());
    }
    let stderr = format!("Port number must be an integer (0-65535)\n{USAGE}");
    Err(Answer { stderr, ..Answer::default() })
}

fn password_file(path: &str) -> Result<(String, String), Answer> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines().map(str::to_owned);
    match (lines.next(), lines.next()) {
        (Some(user), Some(password)) => Ok((user, password)),
        _ => Err(Answer::failed(
            "Error: password file format: expecting username on the first line, password on the \
             second line\n",
        )),
    }
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
    let mut call = Call { client, past_rules: false, past_join: false, lies: false };
    let (mut double, mut lost_after) = (home.clone(), false);
    let lost = || Answer::failed("Lost connection to the server.\n");
    let answer = loop {
        match double.visit(|world| step(world, &call))? {
            Step::Joined(pool) => double = Double::open(pool),
            Step::Done(answer) => break answer,
            Step::Wait(request) => break wait(&double, &request)?,
            Step::Join(request) => match members::join(home, &request)? {
                Some(joined) => break joined,
                None => call.past_join = true,
            },
            Step::Hit(effect) => {
                call.past_rules = true;
                match effect {
                    Effect::Refused => {
                        let said = "Error: Connection refused (calling connect )\n";
                        return Ok(Answer::failed(said));
                    }
                    Effect::Unavailable => return Ok(Answer::failed("Server internal error.\n")),
                    Effect::StillBooting => {
                        return Ok(Failure::api::<String>("HOST_STILL_BOOTING", []).answer());
                    }
                    Effect::Fails(code, values) => return Ok(Failure::Api(code, values).answer()),
                    Effect::LostBefore => return Ok(lost()),
                    Effect::Hangs => loop {
                        std::thread::sleep(Duration::from_secs(60));
                    },
                    Effect::Slow(time) => std::thread::sleep(time),
                    Effect::LostAfter => lost_after = true,
                    Effect::Lies => call.lies = true,
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
    Ok(if lost_after { lost() } else { answer })
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
        Ok(request) => request,
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

/// The answer to arguments in a world, without a file and without rules.
#[cfg(test)]
pub(super) fn respond(world: &mut World, words: &[String]) -> Answer {
    let client = match client(words.to_vec()) {
        Ok(client) => client,
        Err(answer) => return answer,
    };
    if client.sent.is_empty() {
        return Answer { stderr: USAGE.to_owned(), ..Answer::default() };
    }
    match Request::read(&client.sent.join("\n")) {
        Ok(request) if request.name == "event-wait" => match lists::event_holds(world, &request) {
            Ok(_) => Answer::nothing(),
            Err(failure) => failure.answer(),
        },
        Ok(request) => carry_out(world, &request),
        Err(failure) => failure.answer(),
    }
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
        hosts::answer,
        pools::answer,
    ];
    for family in families {
        if let Some(result) = family(world, request) {
            return result.unwrap_or_else(Failure::answer);
        }
    }
    Failure::usage(format!("Unknown command: {}", request.name)).answer()
}

/// What a family of commands gives: nothing where the command is none of them.
pub(super) type Given = Option<Result<Answer, Failure>>;
