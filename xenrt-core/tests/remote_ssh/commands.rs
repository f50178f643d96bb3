//! Commands that run to their end.

use std::time::{Duration, Instant};

use futures::future::join_all;
use xenrt_core::remote::{Command, ExitStatus, RemoteError, Shell, ShellExt};

use xenrt_testkit::{Sshd, runs, unique_sleep, until_async};

#[tokio::test]
async fn arguments_arrive_as_they_are() {
    let sshd = Sshd::start();
    let nasty = [
        "",
        " ",
        "a b",
        "it's",
        "\"quoted\"",
        "$(echo no)",
        "`echo no`",
        "$HOME",
        "~",
        "*",
        "\\",
        "\n",
        "a\nb\n",
        "-n",
        "--",
        "#",
        ";|&<>(){}[]!",
        "ü→🦀",
        "\t",
        "%s",
        "=",
        "a=b",
        "\u{1}\u{7f}",
    ];
    let command = Command::new("printf").arg("%s\\0").args(nasty).env("UNUSED", "it's $HOME");
    let output = sshd.shell().run(&command).await.unwrap();
    let mut got: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
    assert_eq!(got.pop(), Some(&b""[..]));
    assert_eq!(got, nasty.map(str::as_bytes));
}

#[tokio::test]
async fn streams_and_status_are_those_of_the_program() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    let bytes: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    let echoed = shell.run(&Command::new("cat").stdin(bytes.clone())).await.unwrap();
    assert!(echoed.stdout == bytes, "{} bytes came back", echoed.stdout.len());
    // A program need not read what it is given.
    assert!(shell.succeeds(&Command::new("true").stdin(bytes)).await.unwrap());

    let command = Command::shell_line("echo out; echo err >&2; exit 7");
    let output = shell.execute(&command).await.unwrap();
    assert_eq!(output.status, ExitStatus::Code(7));
    assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]));
    let killed = shell.execute(&Command::shell_line("kill -9 $$")).await.unwrap();
    assert_eq!(killed.status, ExitStatus::Signal(None));

    let odd = shell.run(&Command::new("printf").arg("a\\377b")).await.unwrap();
    assert_eq!((&*odd.stdout, odd.text().as_str()), (&b"a\xffb"[..], "a\u{fffd}b"));
    let variable = Command::shell_line("echo \"$A\" | cat; echo \"$A\"").env("A", "x  y");
    assert_eq!(shell.text(&variable).await.unwrap(), "x  y\nx  y");
}

#[tokio::test]
async fn fifty_megabytes_come_through() {
    let sshd = Sshd::start();
    let line = "head -c 50000000 /dev/zero; head -c 1000000 /dev/zero >&2";
    let output = sshd.shell().run(&Command::shell_line(line)).await.unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (50_000_000, 1_000_000));
}

#[tokio::test]
async fn failures_tell_everything_but_secrets() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    let command =
        Command::shell_line("echo no hunter2 here; echo bad hunter2 >&2; exit 3; : hunter2")
            .secret("hunter2");
    let error = shell.run(&command).await.unwrap_err();
    let told = format!("{error} {error:?} {command} {command:?}");
    assert!(!told.contains("hunter2"), "{told}");
    assert!(told.contains("exit status 3") && told.contains("bad ***"), "{told}");
    let late = Command::shell_line("echo hunter2; sleep 30; : hunter2")
        .secret("hunter2")
        .deadline(Duration::from_secs(3));
    let error = shell.run(&late).await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(!told.contains("hunter2") && told.contains("***"), "{told}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_said_as_such() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    for program in ["no-such-program", "/no/such/program"] {
        let error = shell.run(&Command::new(program).arg("x")).await.unwrap_err();
        let RemoteError::NoSuchProgram { program: named, .. } = &error else { panic!("{error}") };
        assert_eq!(named, program);
        assert!(shell.require_program(program).await.is_err());
    }
    shell.require_program("sh").await.unwrap();
    // A program that is there may end with 127 for reasons of its own.
    let error = shell.run(&Command::new("sh").args(["-c", "no-such-program"])).await.unwrap_err();
    assert!(matches!(error, RemoteError::Failed { .. }), "{error}");
}

/// What a deadline must end on the far side: `line`, in which `SLEEP` stands for a program to find.
async fn deadline_ends(line: &str) {
    let sshd = Sshd::start();
    let sleep = unique_sleep();
    let line = line.replace("SLEEP", &sleep);
    let command = Command::shell_line(format!("echo begun; {line}"));
    let shell = sshd.shell();
    shell.run(&Command::new("true")).await.unwrap();
    let started = Instant::now();
    let error = shell.execute(&command.deadline(Duration::from_secs(3))).await.unwrap_err();
    let RemoteError::Deadline { stdout, .. } = &error else { panic!("{error}") };
    assert_eq!(stdout, "begun");
    assert!(!runs(&sleep), "{line} still runs after its deadline");
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
    // The connection is as good as before.
    assert_eq!(shell.text(&Command::new("echo").arg("ok")).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_deadline_ends_the_program() {
    deadline_ends("SLEEP").await;
}

#[tokio::test]
async fn a_deadline_ends_what_the_program_started() {
    deadline_ends("SLEEP & SLEEP | cat; SLEEP").await;
}

#[tokio::test]
async fn a_deadline_ends_a_shell_that_runs_no_program() {
    deadline_ends("SLEEP & while :; do :; done").await;
}

#[tokio::test]
async fn a_deadline_ends_what_ignores_a_polite_request() {
    deadline_ends("trap '' TERM; SLEEP; SLEEP").await;
}

#[tokio::test]
async fn a_program_alone_is_ended_too() {
    let sshd = Sshd::start();
    let sleep = unique_sleep();
    let (_, seconds) = sleep.split_once(' ').unwrap();
    let command = Command::new("sleep").arg(seconds).deadline(Duration::from_secs(3));
    let error = sshd.shell().execute(&command).await.unwrap_err();
    assert!(matches!(error, RemoteError::Deadline { .. }), "{error}");
    assert!(!runs(&sleep));
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_its_command() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    let sleep = unique_sleep();
    let command = Command::shell_line(&*sleep);
    tokio::select! {
        ended = shell.execute(&command) => panic!("{ended:?}"),
        () = until_async("the command to run", || runs(&sleep)) => {}
    }
    until_async("the command to be ended", || !runs(&sleep)).await;
}

#[tokio::test]
async fn more_commands_than_sessions_all_get_through() {
    let sshd = Sshd::start_with("MaxSessions 10");
    let shell = sshd.shell();
    let started = Instant::now();
    let commands = (0..40).map(|number| {
        let shell = &shell;
        async move {
            let line = if number % 3 == 0 { "sleep 8; echo" } else { "echo" };
            shell.text(&Command::shell_line(line).arg(number.to_string())).await.unwrap()
        }
    });
    let texts = join_all(commands).await;
    assert_eq!(texts, (0..40).map(|number| number.to_string()).collect::<Vec<_>>());
    // The 14 long ones ran side by side, though one connection carries 8: one after the other they
    // would take two minutes, and eight at a time 16 seconds and more.
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_server_that_allows_fewer_sessions_is_served_as_well() {
    let sshd = Sshd::start_with("MaxSessions 2");
    let shell = sshd.shell();
    let held = shell.start(&Command::shell_line("echo up; sleep 600")).await.unwrap();
    held.next_line().await.unwrap();
    let commands = (0..12).map(|number| {
        let shell = &shell;
        async move { shell.text(&Command::new("echo").arg(number.to_string())).await.unwrap() }
    });
    assert_eq!(join_all(commands).await.len(), 12);
    held.stop().await.unwrap();
}
