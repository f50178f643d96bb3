//! Connections that do not come about, and what is said about them.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use xenrt_core::Blame;
use xenrt_core::remote::{Command, HostKeyPolicy, RemoteError, ShellExt, SshShell, SshTarget};

use xenrt_testkit::{Sshd, make_key, user};

async fn error_of(target: SshTarget) -> RemoteError {
    let shell = SshShell::new(target);
    shell.run(&Command::new("true")).await.unwrap_err()
}

#[tokio::test]
async fn a_key_that_is_wrong_missing_or_open_to_all() {
    let sshd = Sshd::start();
    let wrong = sshd.path("wrong");
    make_key(&wrong);
    let told = async |key: &str| {
        let error = error_of(sshd.target().key(sshd.path(key))).await;
        assert!(matches!(error, RemoteError::Authentication { .. }), "{error}");
        assert_eq!(error.blame(), Blame::Infrastructure);
        error.to_string()
    };
    let denied = told("wrong").await;
    assert!(denied.contains("Permission denied (publickey"), "{denied}");
    assert!(told("missing").await.contains("cannot be read: No such file"));
    std::fs::set_permissions(&wrong, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(told("wrong").await.contains("chmod 600"));
    let broken = sshd.path("broken");
    std::fs::write(&broken, "no key at all").unwrap();
    std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(0o600)).unwrap();
    let denied = told("broken").await;
    assert!(denied.contains("Load key"), "{denied}");
}

#[tokio::test]
async fn a_host_key_that_is_changed_or_unknown() {
    let mut sshd = Sshd::start();
    sshd.make_new_host_key();
    let error = error_of(sshd.target()).await;
    let RemoteError::HostKey { known_hosts, message, .. } = &error else { panic!("{error}") };
    assert_eq!(*known_hosts, sshd.path("known_hosts").display().to_string());
    assert!(message.contains("another key"), "{error}");

    std::fs::write(sshd.path("known_hosts"), "").unwrap();
    let error = error_of(sshd.target()).await;
    assert!(matches!(error, RemoteError::HostKey { .. }), "{error}");
    std::fs::remove_file(sshd.path("known_hosts")).unwrap();
    let error = error_of(sshd.target()).await;
    assert!(matches!(error, RemoteError::HostKey { .. }), "{error}");

    // Guests that a test made have a new key each time.
    let any = sshd.target().host_key(HostKeyPolicy::AcceptAny);
    SshShell::new(any).run(&Command::new("true")).await.unwrap();
}

#[tokio::test]
async fn nobody_is_there() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let target = |host: &str| SshTarget::new(user(), host).port(port);
    let told = async |target: SshTarget| {
        let error = error_of(target).await;
        assert!(matches!(error, RemoteError::Connect { .. }), "{error}");
        assert!(error.is_connection());
        error.to_string()
    };
    let refused = told(target("127.0.0.1")).await;
    assert!(refused.contains("nothing listens there"), "{refused}");
    let unknown = told(target("no-such-host.invalid")).await;
    assert!(unknown.contains("check the address"), "{unknown}");
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_no_more_than_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let shell = SshShell::new(SshTarget::new(user(), "127.0.0.1").port(port));
    let command = Command::new("true").deadline(Duration::from_secs(1));
    let error = shell.run(&command).await.unwrap_err();
    assert!(matches!(error, RemoteError::Connect { .. }), "{error}");
    assert!(error.to_string().contains("no connection within 1 s"), "{error}");
}

#[tokio::test]
async fn a_line_that_no_shell_can_get_is_refused() {
    let sshd = Sshd::start();
    let error = sshd.shell().run(&Command::new("echo").arg("a\0b")).await.unwrap_err();
    assert!(matches!(error, RemoteError::Local { .. }), "{error}");
}
