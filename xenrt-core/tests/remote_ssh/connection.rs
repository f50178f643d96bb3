//! Connections that come, go and come again.

use std::process::{Command as Program, Stdio};

use futures::future::join_all;
use xenrt_core::remote::{
    Command, HostKeyPolicy, RemoteError, Shell, ShellExt, SshShell, SshTarget,
};

use xenrt_testkit::{Sshd, runs, unique_sleep, until, until_async, user};

#[tokio::test]
async fn a_broken_connection_fails_what_runs_and_is_made_anew() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    let trace = sshd.path("trace").display().to_string();
    let command = Command::shell_line(format!("echo once >>{trace}; sleep 20"));
    let cut = async {
        until_async("the command to run", || sshd.path("trace").exists()).await;
        sshd.cut_connections();
    };
    let (result, ()) = tokio::join!(shell.execute(&command), cut);
    let error = result.unwrap_err();
    assert!(matches!(error, RemoteError::Disconnected { .. }), "{error}");
    // The next call connects anew, and the command was not run a second time.
    assert_eq!(shell.text(&Command::new("cat").arg(&*trace)).await.unwrap(), "once");
}

#[tokio::test]
async fn a_restarted_server_is_found_again() {
    let mut sshd = Sshd::start();
    let shell = sshd.shell();
    shell.run(&Command::new("true")).await.unwrap();
    sshd.cut_connections();
    sshd.end();
    let error = shell.run(&Command::new("true")).await.unwrap_err();
    assert!(error.is_connection(), "{error}");
    sshd.begin();
    shell.run(&Command::new("true")).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_ends_between_two_commands_is_not_noticed_by_callers() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    for _ in 0..3 {
        shell.run(&Command::new("true")).await.unwrap();
        sshd.cut_connections();
        until_async("the connection to end", || sshd.connections() == 0).await;
    }
    shell.run(&Command::new("true")).await.unwrap();
    shell.reset().await;
    until_async("the connection to end", || sshd.connections() == 0).await;
    shell.run(&Command::new("true")).await.unwrap();
}

#[tokio::test]
async fn nothing_stays_when_a_shell_is_dropped() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    let sleep = Command::new("sleep").arg("1");
    for result in join_all((0..20).map(|_| shell.run(&sleep))).await {
        result.unwrap();
    }
    assert!(sshd.connections() >= 2, "{}", sshd.connections());
    drop(shell);
    until_async("the connections to end", || sshd.connections() == 0).await;
}

#[tokio::test]
async fn many_callers_share_one_login_and_its_failure() {
    let mut sshd = Sshd::start();
    let shell = sshd.shell();
    let run = || async { shell.run(&Command::new("true")).await };
    for result in join_all((0..8).map(|_| run())).await {
        result.unwrap();
    }
    assert_eq!(sshd.connections(), 1);
    sshd.cut_connections();
    sshd.end();
    shell.reset().await;
    for result in join_all((0..30).map(|_| run())).await {
        assert!(matches!(result, Err(RemoteError::Connect { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn a_gateway_has_its_own_key_and_host_key() {
    let gateway = Sshd::start();
    let sshd = Sshd::start();
    let through = sshd.target().through(&gateway.target());
    let shell = SshShell::new(through.clone());
    let expected =
        format!("{0}@127.0.0.1:{1} via {0}@127.0.0.1:{2}", user(), sshd.port, gateway.port);
    assert_eq!(shell.target(), expected);
    let port = shell.text(&Command::shell_line("echo ${SSH_CONNECTION##* }")).await.unwrap();
    assert_eq!(port, sshd.port.to_string());
    // Its connection really goes through the gateway.
    gateway.cut_connections();
    until_async("the connection to end", || sshd.connections() == 0).await;

    let mut wrong = through.clone();
    wrong.gateways[0].key = Some(sshd.path("user_key"));
    let error = SshShell::new(wrong).run(&Command::new("true")).await.unwrap_err();
    let RemoteError::Authentication { target, .. } = &error else { panic!("{error}") };
    assert_eq!(*target, format!("{}@127.0.0.1:{}", user(), gateway.port));

    let mut unknown = through.clone();
    unknown.gateways[0].host_key = HostKeyPolicy::Strict(sshd.path("known_hosts"));
    let error = SshShell::new(unknown).run(&Command::new("true")).await.unwrap_err();
    let RemoteError::HostKey { target, .. } = &error else { panic!("{error}") };
    assert!(target.ends_with(&gateway.port.to_string()), "{error}");

    let mut nobody = through;
    nobody.port = Sshd::start().port;
    let error = SshShell::new(nobody).run(&Command::new("true")).await.unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, RemoteError::Connect { .. }) && told.contains("refused"), "{told}");
}

#[tokio::test]
async fn two_gateways_are_passed_in_order() {
    let [first, second, sshd] = [Sshd::start(), Sshd::start(), Sshd::start()];
    let target = sshd.target().through(&second.target().through(&first.target()));
    let shell = SshShell::new(target);
    assert_eq!(shell.text(&Command::new("echo").arg("ok")).await.unwrap(), "ok");
    first.cut_connections();
    until_async("the connection to end", || sshd.connections() == 0).await;
}

/// Not a test by itself: what the next ones run in a process of its own, to kill it.
#[tokio::test]
#[ignore = "the other half of the tests that kill a process"]
async fn connect_and_wait_to_be_killed() {
    let value = |name: &str| std::env::var(name).unwrap();
    let target = SshTarget::new(user(), "127.0.0.1")
        .port(value("PORT").parse().unwrap())
        .key(value("KEY"))
        .host_key(HostKeyPolicy::AcceptAny);
    let shell = SshShell::new(target);
    shell.run(&Command::new("touch").arg(value("READY"))).await.unwrap();
    if let Ok(line) = std::env::var("LINE") {
        let _ = shell.run(&Command::shell_line(line)).await;
    }
    std::future::pending::<()>().await;
}

/// Kills a process that is connected and runs `line`, if there is one.
fn kill_one_that_is_connected(sshd: &Sshd, line: Option<&str>) {
    let name = "connection::connect_and_wait_to_be_killed";
    let mut child = Program::new(std::env::current_exe().unwrap());
    child.args(["--ignored", "--exact", name]).stdout(Stdio::null());
    child.env("PORT", sshd.port.to_string());
    child.env("KEY", sshd.path("user_key")).env("READY", sshd.path("ready"));
    child.envs(line.map(|line| ("LINE", line)));
    let mut child = child.spawn().unwrap();
    until("the other process to connect", || sshd.path("ready").exists());
    if let Some(line) = line {
        until("its command to run", || runs(line));
    }
    assert_eq!(sshd.connections(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_process_leaves_no_connection() {
    let sshd = Sshd::start();
    kill_one_that_is_connected(&sshd, None);
    until("the connection to end", || sshd.connections() == 0);
}

#[tokio::test]
async fn a_connection_that_a_killed_process_left_busy_is_ended_by_the_next_one() {
    let sshd = Sshd::start();
    let sleep = unique_sleep();
    kill_one_that_is_connected(&sshd, Some(&sleep));
    let other = Sshd::start();
    other.shell().run(&Command::new("true")).await.unwrap();
    until_async("the connection to end", || sshd.connections() == 0).await;
    other.shell().run(&Command::new("pkill").args(["-xf", &sleep])).await.unwrap();
}
