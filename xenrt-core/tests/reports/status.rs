//! The key `t` and SIGUSR1 on a real terminal, in a process of its own.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xenrt_core::report::{Console, Reporter as _};
use xenrt_core::sequencer::{CancelHandle, EventKind, cancel_on_ctrl_c};
use xenrt_core::testcase::{Marks, Outcome, Phase};

use crate::stream::{Stream, command, planned};

/// Longer than anything here takes on a machine that has much to do.
const DEADLINE: Duration = Duration::from_secs(60);

/// Not a test: the process that the tests below look at. It runs until the file `XENRT_END` is
/// there or it is cancelled; with `XENRT_PANIC` its main thread panics instead.
#[test]
#[ignore = "a part of the other tests here"]
fn child() {
    let Ok(end) = std::env::var("XENRT_END") else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cancel = CancelHandle::new();
    runtime.block_on(async { cancel_on_ctrl_c(&cancel).unwrap() });
    let mut console = Console::new();
    let mut run = Stream::begin(vec![planned("net.slow", "slow")], |event| {
        console.event(event).unwrap();
        console.flush().unwrap();
    });
    run.start(0, 0, &["alpha"]);
    run.say(Some(0), EventKind::PhaseStarted { phase: Phase::Run });
    run.say(Some(0), command("ping 10.0.0.1", 0, "", ""));
    // Last: whoever sees it asks for all of the above.
    run.say(Some(0), EventKind::Step { text: "wait for the end".into() });
    let until = Instant::now() + DEADLINE;
    while !Path::new(&end).exists() && !cancel.is_cancelled() && Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let outcome = match cancel.reason() {
        Some(reason) => Outcome::Blocked { by: reason.to_string() },
        None => Outcome::Passed,
    };
    run.finish(0, outcome, Marks::default(), 1.0);
    run.end(0);
    console.end().unwrap();
}

/// A process, and all that it has written.
struct Watched {
    child: Child,
    text: Arc<Mutex<String>>,
}

impl Watched {
    /// `command` with everything that it writes on standard output and error.
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let text = Arc::new(Mutex::new(String::new()));
        let mut pipes: Vec<Box<dyn std::io::Read + Send>> = Vec::new();
        pipes.extend(child.stdout.take().map(|pipe| Box::new(pipe) as _));
        pipes.extend(child.stderr.take().map(|pipe| Box::new(pipe) as _));
        for mut pipe in pipes {
            let text = Arc::clone(&text);
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = pipe.read(&mut bytes) {
                    text.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..length]));
                }
            });
        }
        Self { child, text }
    }

    fn wait_for(&self, what: &str) {
        let until = Instant::now() + DEADLINE;
        while !self.text.lock().unwrap().contains(what) {
            let text = self.text.lock().unwrap().clone();
            assert!(Instant::now() < until, "waited for {what:?} in:\n{text}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn press(&mut self, keys: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(keys.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    fn end(mut self) -> String {
        let until = Instant::now() + DEADLINE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "it does not end: {}", self.text.lock().unwrap());
            std::thread::park_timeout(Duration::from_millis(10));
        }
        self.text.lock().unwrap().clone()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn this_test() -> String {
    let program = std::env::current_exe().unwrap();
    format!("{} --ignored --exact status::child --nocapture", program.display())
}

/// The process on a terminal of its own, between two looks at the modes of that terminal.
fn on_a_terminal(end: &Path) -> Watched {
    // Ctrl-C goes to the shell too, which is to go on.
    let line = format!("trap : INT; stty -a; {}; stty -a; echo all over", this_test());
    let mut script = Command::new("script");
    script.args(["--quiet", "--flush", "--command", &line, "/dev/null"]);
    script.env("XENRT_END", end).env("SHELL", "/bin/sh");
    Watched::start(script)
}

/// The lines of both `stty -a`.
fn modes(text: &str) -> (String, String) {
    let lines = |text: &str| {
        let flags = ["speed ", "intr = ", "-parenb", "isig "];
        let is_one = |line: &&str| flags.iter().any(|flag| line.contains(flag));
        text.lines().filter(is_one).map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    let lines = lines(text);
    let (before, after) = lines.split_at(lines.len() / 2);
    (before.join("\n"), after.join("\n"))
}

#[test]
fn the_key_t_says_where_each_test_is_and_the_terminal_is_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let end = folder.path().join("end");
    let mut process = on_a_terminal(&end);
    process.wait_for("wait for the end");
    // Without a line end, so only a terminal that gives each key at once passes it on.
    process.press("jjt");
    process.wait_for("last command, ended");
    std::fs::write(&end, "").unwrap();
    process.wait_for("all over");
    let text = process.end();
    assert!(text.contains("net.slow, for "), "{text}");
    assert!(!text.contains("jj"), "the keys are not shown");
    let (before, after) = modes(&text);
    assert!(before.contains("isig icanon") && before == after, "{before}\n\n{after}");
}

#[test]
fn ctrl_c_ends_the_run_in_order_and_the_terminal_is_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = on_a_terminal(&folder.path().join("end"));
    process.wait_for("wait for the end");
    process.press("t");
    process.wait_for("last command, ended");
    process.press("\u{3}");
    process.wait_for("BLOCKED");
    process.wait_for("all over");
    let (before, after) = modes(&process.end());
    assert!(before.contains("isig icanon") && before == after, "{before}\n\n{after}");
}

#[test]
fn sigusr1_is_answered_on_standard_error_without_any_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let end = folder.path().join("end");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "status::child", "--nocapture"]).env("XENRT_END", &end);
    let process = Watched::start(command);
    process.wait_for("RUN");
    kill(Pid::from_raw(process.child.id() as i32), Signal::SIGUSR1).unwrap();
    process.wait_for("0 of 1 tests ended, 1 is running");
    process.wait_for("last command, ended");
    std::fs::write(&end, "").unwrap();
    process.end();
}

#[test]
fn a_run_in_the_background_leaves_the_terminal_alone() {
    let folder = tempfile::tempdir().unwrap();
    let end = folder.path().join("end");
    // An interactive shell has job control: the process is stopped, goes on in the background, and
    // must neither be stopped by its look at the terminal nor change it.
    let mut script = Command::new("script");
    script.args(["--quiet", "--flush", "--command", "bash --norc --noprofile -i", "/dev/null"]);
    script.env("XENRT_END", &end).env("PS1", "ready> ").env("SHELL", "/bin/sh");
    let mut shell = Watched::start(script);
    shell.wait_for("ready> ");
    shell.press(&format!("{}\n", this_test()));
    shell.wait_for("wait for the end");
    shell.press("t");
    shell.wait_for("last command, ended");
    shell.press("\u{1a}");
    shell.wait_for("Stopped");
    shell.press("bg\n");
    shell.press("stty -a | grep -o 'isig .*icanon'; echo from the shell: $((40 + 2))\n");
    shell.wait_for("from the shell: 42");
    shell.wait_for("isig icanon");
    shell.press("kill -USR1 %1; sleep 1; jobs\n");
    shell.wait_for("Running");
    shell.press("fg\n");
    // In the foreground again, and listening again.
    let asked = |shell: &Watched| shell.text.lock().unwrap().matches("last command").count();
    let before = asked(&shell);
    let until = Instant::now() + DEADLINE;
    while asked(&shell) <= before {
        assert!(Instant::now() < until, "{}", shell.text.lock().unwrap());
        shell.press("t");
        std::thread::park_timeout(Duration::from_millis(300));
    }
    std::fs::write(&end, "").unwrap();
    shell.wait_for("test result: ok");
    shell.press("exit\n");
    shell.end();
}
