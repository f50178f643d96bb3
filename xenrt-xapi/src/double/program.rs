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
    let mut words = arguments.into_iter().chain(extra_arguments());
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

fn xe(double: &Double, arguments: Vec<String>) -> std::io::Result<Answer> {
    double.record(&arguments)?;
    let (home, double) = (double, &members::world_of(double)?);
    let client = match client(arguments) {
        Ok(client) => client,
        Err(answer) => return Ok(answer),
    };
    if client.sent.is_empty() || client.sent.iter().any(|word| word == "--help") {
        return Ok(Answer { stderr: USAGE.to_owned(), ..Answer::default() });
    }
    let sent = client.sent.join("\n");
    let name = client.sent.first().map_or("", String::as_str);
    // Only what is looked at must be written back: most commands only ask.
    let effect = match double.look(|world| world.rules.is_empty())? {
        true => None,
        false => double.change(|world| rules::hit(&mut world.rules, name))?,
    };
    let lost = || Ok(Answer::failed("Lost connection to the server.\n"));
    match effect {
        Some(Effect::Refused) => {
            return Ok(Answer::failed("Error: Connection refused (calling connect )\n"));
        }
        Some(Effect::Unavailable) => {
            return Ok(Answer::failed("Error: HTTP/1.1 503 Service Unavailable\n"));
        }
        Some(Effect::StillBooting) => {
            return Ok(Failure::api::<String>("HOST_STILL_BOOTING", []).answer());
        }
        Some(Effect::Fails(code, values)) => return Ok(Failure::Api(code, values).answer()),
        Some(Effect::LostBefore) => return lost(),
        Some(Effect::Hangs) => loop {
            std::thread::sleep(Duration::from_secs(60));
        },
        Some(Effect::Slow(time)) => std::thread::sleep(time),
        Some(Effect::LostAfter | Effect::Lies) | None => {}
    }
    if let Some(failure) = double.look(|world| refused(world, &client))? {
        return Ok(failure.answer());
    }
    let request = match Request::read(&sent) {
        Ok(request) => request,
        Err(failure) => return Ok(failure.answer()),
    };
    let answer = if let Some(joined) = members::join(home, &request)? {
        joined
    } else if request.name == "event-wait" {
        wait(double, &request)?
    } else if asks(&request.name) {
        double.look(|world| respond_to(&mut world.clone(), &request))?
    } else if effect == Some(Effect::Lies) {
        // Carried out in a world that is thrown away.
        double.look(|world| carry_out(&mut world.clone(), &request))?
    } else {
        double.change(|world| change(world, &request))?
    };
    if request.name == "pool-eject" && answer.status == 0 {
        members::send_home(double, &request)?;
    }
    if effect == Some(Effect::LostAfter) { lost() } else { Ok(answer) }
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
