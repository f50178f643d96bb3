//! Commands that run while something else is done.

use std::time::{Duration, Instant};

use xenrt_core::remote::{Command, ExitStatus, Process, ProcessLine, RemoteError, Shell, ShellExt};

use xenrt_testkit::{Sshd, runs, unique_sleep, until_async};

#[tokio::test]
async fn output_is_streamed_while_the_process_runs() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    let line = "while read -r l; do echo \"got $l\"; done; echo end >&2; exit 4";
    let process = shell.start(&Command::shell_line(line).stdin("a\nb\n")).await.unwrap();
    assert_eq!((process.description(), process.target()), (line, shell.target()));
    let mut lines = Vec::new();
    while let Some(line) = process.next_line().await {
        lines.push(line);
    }
    lines.sort_by_key(|line| line.text().to_owned());
    let stdout = |text: &str| ProcessLine::Stdout(text.to_owned());
    assert_eq!(lines, [ProcessLine::Stderr("end".into()), stdout("got a"), stdout("got b")]);
    assert_eq!(process.wait().await.unwrap(), ExitStatus::Code(4));
    assert!(!process.is_running());
    assert_eq!(process.stop().await.unwrap(), ExitStatus::Code(4));
}

#[tokio::test]
async fn stopping_ends_the_whole_group_and_waits_for_it() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    let sleep = unique_sleep();
    let process =
        shell.start(&Command::shell_line(format!("echo up; {sleep} & {sleep}"))).await.unwrap();
    assert_eq!(process.next_line().await, Some(ProcessLine::Stdout("up".into())));
    assert!(process.is_running() && runs(&sleep));
    assert_eq!(process.stop().await.unwrap(), ExitStatus::Signal(None));
    assert!(!runs(&sleep));
}

#[tokio::test]
async fn a_process_that_hides_its_environment_is_found() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    let sleep = unique_sleep();
    let line = format!("exec env -i {sleep}");
    let process = shell.start(&Command::shell_line(line)).await.unwrap();
    until_async("the process to run", || runs(&sleep)).await;
    process.stop().await.unwrap();
    assert!(!runs(&sleep));
}

#[tokio::test]
async fn what_is_dropped_or_left_over_is_stopped() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    let [first, second, third] = [unique_sleep(), unique_sleep(), unique_sleep()];
    let dropped = shell.start(&Command::shell_line(&*first)).await.unwrap();
    let kept = shell.start(&Command::shell_line(&*second)).await.unwrap();
    let _also = shell.start(&Command::shell_line(&*third)).await.unwrap();
    let all = [&first, &second, &third];
    until_async("all to run", || all.iter().all(|sleep| runs(sleep))).await;
    drop(dropped);
    until_async("the dropped one to end", || !runs(&first)).await;
    assert!(kept.is_running());
    let stopped = shell.stop_all().await;
    assert!(stopped.contains(&second) && stopped.contains(&third), "{stopped:?}");
    assert!(!runs(&second) && !runs(&third) && !kept.is_running());
    assert!(shell.stop_all().await.is_empty());
}

#[tokio::test]
async fn a_process_has_a_deadline() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    let sleep = unique_sleep();
    let command = Command::shell_line(format!("echo up; {sleep}")).deadline(Duration::from_secs(3));
    let process = shell.start(&command).await.unwrap();
    let error = process.wait().await.unwrap_err();
    let RemoteError::Deadline { stdout, .. } = &error else { panic!("{error}") };
    assert_eq!(stdout, "up");
    assert!(!runs(&sleep));
}

#[tokio::test]
async fn nobody_has_to_read() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    let process = shell.start(&Command::shell_line("seq 1 2000000; printf last")).await.unwrap();
    assert_eq!(process.wait().await.unwrap(), ExitStatus::Code(0));
    let (mut kept, mut last) = (0, String::new());
    while let Some(line) = process.next_line().await {
        kept += line.text().len() as u64;
        last = line.text().to_owned();
    }
    assert_eq!(last, "last");
    assert!(kept <= Process::MOST_KEPT as u64);
    // seq prints 12,888,896 digits, and the last word has four letters more.
    assert_eq!(process.dropped_bytes() + kept, 12_888_896 + 4);
}

#[tokio::test]
async fn a_process_whose_connection_breaks_says_so() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    let process = shell.start(&Command::shell_line("echo up; sleep 600")).await.unwrap();
    assert!(process.next_line().await.is_some());
    sshd.cut_connections();
    let started = Instant::now();
    let error = process.wait().await.unwrap_err();
    assert!(matches!(error, RemoteError::Disconnected { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
    shell.run(&Command::new("true")).await.unwrap();
}
