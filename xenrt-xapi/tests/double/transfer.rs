//! Guests as files here, and that nothing of them is left in dom0.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use xenrt_core::ToolstackErrorKind;
use xenrt_core::model::{Guest as _, GuestSpec, Host as _, VifSpec};
use xenrt_core::remote::{Command, ShellExt as _};
use xenrt_xapi::double::{Effect, Rule, World};
use xenrt_xapi::xe::XeCommand;
use xenrt_xapi::{Transferred, XapiGuest, XapiHost};

use crate::world::Simulated;

async fn guest(host: &XapiHost, name: &str) -> XapiGuest {
    let spec = GuestSpec::new(name).image("debian").vif(VifSpec::on_default());
    let guest = host.define_guest(&spec).await.unwrap();
    host.xapi_guest(guest.uuid()).await.unwrap()
}

/// What was told of a transfer.
#[derive(Default)]
struct Told(Mutex<Vec<u64>>);

impl Told {
    fn note(&self) -> impl Fn(Transferred) + Send + Sync + '_ {
        |how_far| self.0.lock().unwrap().push(how_far.bytes)
    }

    fn all(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }
}

/// The folders of dom0 for transfers and reports: this machine is every dom0 of these tests, so that
/// those of other tests are not told apart, but by when they came.
fn folders(what: &str) -> Vec<String> {
    let all = std::fs::read_dir("/tmp").unwrap();
    let names = all.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with(&format!("xenrt-{what}."))).collect()
}

/// Waits until these folders are gone.
async fn gone(folders: &[String]) {
    let started = Instant::now();
    while folders.iter().any(|name| Path::new("/tmp").join(name).exists()) {
        assert!(started.elapsed() < Duration::from_secs(30), "{folders:?} are left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn exports_come_here_as_they_are_made_and_go_back() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let guest = guest(&host, "one").await;
    let (here, told) = (simulated.path("here.xva"), Told::default());
    guest.export_here(&here, &told.note()).await.unwrap();
    let length = std::fs::metadata(&here).unwrap().len();
    assert!(length > 100);
    assert_eq!(told.all().last(), Some(&length));
    assert!(told.all().is_sorted());
    // Several pieces: the double reads JSON, which takes white space at its end.
    let padding = 9 * 1024 * 1024;
    let mut bytes = std::fs::read(&here).unwrap();
    bytes.resize(bytes.len() + padding, b' ');
    std::fs::write(&here, &bytes).unwrap();
    let told = Told::default();
    let before = simulated.double.calls().unwrap().len();
    let imported = host.import_from_here(&here, None, &told.note()).await.unwrap();
    let calls = simulated.double.calls().unwrap();
    assert!(calls[before].contains("vm-import"), "{calls:?}");
    assert_eq!((told.all().len(), told.all().last()), (3, Some(&(bytes.len() as u64))));
    assert_ne!(imported.uuid(), guest.uuid());
    imported.start().await.unwrap();
    imported.check().await.unwrap();
    imported.ensure_deleted().await.unwrap();
    guest.delete().await.unwrap();
    let left = simulated.double.look(|world| world.all("vdi").count()).unwrap();
    assert_eq!(left, 2, "the disks of an imported guest go with it");
}

#[tokio::test]
async fn what_xapi_refuses_of_a_transfer_is_told_by_its_name() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let guest = guest(&host, "one").await;
    let (here, told) = (simulated.path("here.xva"), Told::default());
    let no = || {
        let values = vec!["x".into(), "halted".into(), "running".into()];
        Effect::Fails("VM_BAD_POWER_STATE".into(), values)
    };
    simulated.double.rule(Rule::once("vm-export", no())).unwrap();
    let error = guest.export_here(&here, &told.note()).await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::BadState), "{error}");
    assert!(!here.exists(), "half of a file is left");
    let missing = host.import_from_here(&here, None, &told.note()).await.unwrap_err().to_string();
    assert!(missing.contains("here.xva"), "{missing}");
    // It is refused before it has read anything, while more is sent than a pipe holds.
    std::fs::write(&here, vec![b'x'; 6 * 1024 * 1024]).unwrap();
    simulated.double.rule(Rule::once("vm-import", no())).unwrap();
    let started = Instant::now();
    let error = host.import_from_here(&here, None, &told.note()).await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::BadState), "{error}");
    // It is refused when it has read all.
    let error = host.import_from_here(&here, None, &told.note()).await.unwrap_err().to_string();
    assert!(error.contains("the end of the file was reached prematurely"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(host.guests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn nothing_of_a_transfer_that_is_cut_off_is_left() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let guest = guest(&host, "one").await;
    let (here, told) = (simulated.path("here.xva"), Told::default());
    guest.export_here(&here, &told.note()).await.unwrap();
    for command in ["vm-import", "host-get-system-status"] {
        simulated.double.rule(Rule::once(command, Effect::Hangs)).unwrap();
        let what = if command == "vm-import" { "import" } else { "report" };
        let (before, calls) = (folders(what), simulated.double.calls().unwrap().len());
        let hangs = async {
            match what {
                "import" => {
                    host.import_from_here(&here, None, &told.note()).await.unwrap();
                }
                _ => host.save_status_report(&simulated.path("report"), &[]).await.unwrap(),
            }
        };
        let begun = async {
            let started = Instant::now();
            while simulated.double.calls().unwrap().len() == calls {
                assert!(started.elapsed() < Duration::from_secs(30), "{command} did not begin");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = hangs => panic!("{command} does not hang"),
            () = begun => {}
        }
        let made: Vec<String> =
            folders(what).into_iter().filter(|name| !before.contains(name)).collect();
        assert!(!made.is_empty(), "it made no folder");
        gone(&made).await;
    }
    assert_eq!(host.guests().await.unwrap().len(), 1);
}

/// All of a small file is in the pipe, and nobody writes to it any more, before `xe` opens it.
#[tokio::test]
async fn a_file_is_taken_by_an_xe_that_begins_late() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let (here, told) = (simulated.path("here.xva"), Told::default());
    guest(&host, "one").await.export_here(&here, &told.note()).await.unwrap();
    let late = Effect::Slow(Duration::from_secs(1));
    simulated.double.rule(Rule::once("vm-import", late)).unwrap();
    host.import_from_here(&here, None, &told.note()).await.unwrap();
    assert_eq!(host.guests().await.unwrap().len(), 2);
}

/// An administrator's defaults are arguments of every call.
#[tokio::test]
async fn what_the_administrator_prepared_changes_nothing() {
    let simulated = Simulated::start(&World::small());
    std::fs::write(simulated.path(".xe"), "minimal=true\nserver=192.0.2.99\n").unwrap();
    let shell = simulated.shell();
    let plain = shell.text(&Command::new("xe").arg("host-list")).await;
    assert!(plain.is_err(), "the double does not read it: {plain:?}");
    let host = simulated.connect().await;
    let guest = guest(&host, "one").await;
    guest.start().await.unwrap();
    guest.check().await.unwrap();
    let list = XeCommand::new("vm-list").fields(&["uuid", "name-label"]);
    assert!(host.xe().run(&list).await.unwrap().contains("name-label ( RW): one"));
    let (here, told) = (simulated.path("here.xva"), Told::default());
    guest.shutdown(xenrt_core::model::ShutdownMode::Hard).await.unwrap();
    guest.export_here(&here, &told.note()).await.unwrap();
    host.import_from_here(&here, None, &told.note()).await.unwrap();
}
