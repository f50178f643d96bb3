//! Waiting for events: nothing waits on for somebody who is gone.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use xenrt_core::model::{DiskSpec, GuestSpec, Host as _, Memory, VifSpec};
use xenrt_xapi::double::World;
use xenrt_xapi::xe::{Login, Xe, XeCommand, XeError};

use crate::world::Simulated;

fn spec(name: &str) -> GuestSpec {
    let spec = GuestSpec::new(name).image("bare").vif(VifSpec::on_default());
    spec.disk(DiskSpec::new(Memory::mib(8)))
}

/// The processes (their folders) that wait for an event of this VM.
fn waiting(vm: &str) -> Vec<String> {
    let folders = std::fs::read_dir("/proc").unwrap();
    let own = |entry: std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let own = line.contains("event-wait") && line.contains(vm);
        own.then(|| entry.path().display().to_string())
    };
    folders.filter_map(|entry| own(entry.ok()?)).collect()
}

/// Until a process waits for `call`; one that ended before that says why.
async fn until_it_waits(
    vm: &str,
    call: JoinHandle<Result<bool, XeError>>,
) -> JoinHandle<Result<bool, XeError>> {
    let started = Instant::now();
    while waiting(vm).is_empty() {
        if call.is_finished() {
            panic!("it ended before a process waited: {:?}", call.await);
        }
        assert!(started.elapsed() < Duration::from_secs(60), "no process waits");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    call
}

async fn nobody_waits(vm: &str) {
    let started = Instant::now();
    while !waiting(vm).is_empty() {
        let left = waiting(vm);
        assert!(started.elapsed() < Duration::from_secs(30), "{left:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn nothing_waits_for_events_when_the_one_who_asked_is_gone() {
    let mut simulated = Simulated::start(&World::small());
    nothing_is_left_waiting(&mut simulated, Login::Local).await;
}

/// With a login that `xe` itself makes, what it is to read comes through the same standard input.
#[tokio::test]
async fn nothing_waits_with_a_login_of_its_own_either() {
    let mut world = World::small();
    world.allow_login("root", "pass");
    let mut simulated = Simulated::start(&world);
    let (server, user, password) = ("192.0.2.10".into(), "root".into(), "pass".into());
    let login = Login::Remote { server, port: None, user, password };
    nothing_is_left_waiting(&mut simulated, login).await;
    let calls = simulated.double.calls().unwrap().join("\n");
    assert!(calls.contains("-pwf") && calls.contains("event-wait"), "{calls}");
    let started = Instant::now();
    while std::fs::read_dir(simulated.path("tmp")).unwrap().count() > 0 {
        assert!(started.elapsed() < Duration::from_secs(30), "a file with a login is left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn nothing_is_left_waiting(simulated: &mut Simulated, login: Login) {
    let vm = simulated.connect().await.define_guest(&spec("tiny")).await.unwrap().uuid();
    let client = |simulated: &Simulated| {
        Xe::with_deadline(simulated.shell(), login.clone(), Duration::from_secs(60))
    };
    let xe = client(simulated);
    let wait = |xe: Xe| async move {
        let never = [("power-state", "running")];
        xe.wait_for_event("vm", vm, &never, Duration::from_secs(300)).await
    };
    // The caller goes away.
    let waits = tokio::spawn(wait(xe.clone()));
    let waits = until_it_waits(&vm.to_string(), waits).await;
    waits.abort();
    nobody_waits(&vm.to_string()).await;
    // The connection goes, as it does with a program that is killed.
    let waits = tokio::spawn(wait(client(simulated)));
    let waits = until_it_waits(&vm.to_string(), waits).await;
    let before = waiting(&vm.to_string());
    simulated.cut_connections();
    let started = Instant::now();
    // The client asks anew, which is another process.
    while waiting(&vm.to_string()).iter().any(|process| before.contains(process)) {
        assert!(started.elapsed() < Duration::from_secs(30), "{before:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    waits.abort();
    nobody_waits(&vm.to_string()).await;
    // It ends as it should, and nothing of it is left.
    let other = client(simulated);
    let waits = tokio::spawn(wait(other.clone()));
    let waits = until_it_waits(&vm.to_string(), waits).await;
    other.run(&XeCommand::new("vm-start").uuid(vm)).await.unwrap();
    assert!(waits.await.unwrap().unwrap());
    nobody_waits(&vm.to_string()).await;
}
