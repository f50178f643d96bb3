//! No password is ever seen.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use xenrt_core::remote::{CommandRecord, ObservedShell, Observer};
use xenrt_xapi::double::{Effect, Rule, World};
use xenrt_xapi::xe::{Login, Xe, XeCommand};

use crate::world::Simulated;

const PASSWORD: &str = "s3cret-of-the-login";
const OTHER: &str = "s3cret, of another pool";

#[derive(Debug, Default)]
struct Records(Mutex<Vec<CommandRecord>>);

impl Observer for Records {
    fn command(&self, record: CommandRecord) {
        self.0.lock().unwrap().push(record);
    }
}

/// The arguments of every process of this machine.
fn all_arguments() -> String {
    let folders = std::fs::read_dir("/proc").unwrap();
    let read = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).ok();
    let all = folders.filter_map(|entry| read(entry.ok()?));
    all.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " ")).collect()
}

#[tokio::test]
async fn passwords_are_in_no_process_list_record_error_or_file() {
    let mut world = World::small();
    world.allow_login("root", PASSWORD);
    let simulated = Simulated::start(&world);
    let records = Arc::new(Records::default());
    let shell = ObservedShell::new(simulated.shell(), records.clone());
    let login = Login::Remote {
        server: "192.0.2.10".into(),
        port: None,
        user: "root".into(),
        password: PASSWORD.into(),
    };
    let xe = Xe::with_deadline(Arc::new(shell), login, Duration::from_secs(30));
    simulated.double.rule(Rule::once("pool-join", Effect::Slow(Duration::from_secs(2)))).unwrap();
    let join = XeCommand::new("pool-join")
        .param("master-address", "192.0.2.77")
        .param("master-username", "root")
        .secret("master-password", OTHER);
    let command = xe.run(&join);
    // While it runs, every process of this machine is looked at.
    let looked = async {
        let started = std::time::Instant::now();
        let (mut seen, mut all) = (false, String::new());
        while started.elapsed() < Duration::from_secs(20) && !seen {
            all = all_arguments();
            seen = all.contains("xe -s 192.0.2.10") && all.contains("pool-join");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(seen, "the command was never seen");
        all
    };
    let (result, arguments) = tokio::join!(command, looked);
    let error = result.unwrap_err();
    // It was taken for what it is: the recorded refusal of a pool that is not there.
    assert!(error.to_string().contains("Connection failed"), "{error}");
    let shown = format!("{arguments}{error}{error:?}{xe:?}{:?}", records.0.lock().unwrap());
    for secret in [PASSWORD, OTHER] {
        assert!(!shown.contains(secret), "{secret} was seen");
    }
    // It did arrive: with a wrong password, xapi refuses.
    assert!(xe.run(&XeCommand::new("host-list")).await.is_ok());
    let secret = XeCommand::new("secret-create").secret("value", OTHER);
    let uuid = xe.create(&secret).await.unwrap().to_string();
    let value = simulated.double.look(|world| world.object("secret", &uuid).unwrap().text("value"));
    assert_eq!(value.unwrap(), OTHER);
    let left = std::fs::read_dir(simulated.path("tmp")).unwrap().count();
    assert_eq!(left, 0, "files are left");
    let calls = simulated.double.calls().unwrap().join("\n");
    assert!(!calls.contains("s3cret"), "{calls}");
}
