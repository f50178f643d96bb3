//! Where the hosts of these tests come from, and what they have in common.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};
use xenrt::virtual_lab::VirtualLabProvider;
use xenrt_core::lab::{HostDemand, LabFile, LabFileProvider, LabProvider};
use xenrt_core::model::{Guest, GuestKind, GuestSpec, Host, Scope, VifSpec};
use xenrt_core::remote::{CommandRecord, Observer};
use xenrt_xl::XlToolstack;

pub(crate) mod devices;
pub(crate) mod failures;
pub(crate) mod lifecycle;
pub(crate) mod migration;

/// The hosts of one test, and its turn: two emulated hosts at once are slower than one after the
/// other on a small machine, and deadlines mean less.
pub(crate) struct Lab {
    pub(crate) hosts: Vec<Arc<dyn Host>>,
    provider: Arc<dyn LabProvider>,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::const_new(());

impl Lab {
    /// So many hosts: of the lab file that `XENRT_TEST_LAB` names, else of the virtual lab.
    pub(crate) async fn with(count: usize) -> Self {
        let turn = TURN.lock().await;
        let provider: Arc<dyn LabProvider> = match std::env::var_os("XENRT_TEST_LAB") {
            Some(file) => {
                let lab = LabFile::read(Path::new(&file)).unwrap();
                Arc::new(LabFileProvider::new(
                    lab,
                    "of the test",
                    vec![Arc::new(XlToolstack::new())],
                ))
            }
            None => Arc::new(VirtualLabProvider::new()),
        };
        let demands = vec![HostDemand::default(); count];
        let hosts = provider.acquire(&demands, &|note| println!("{}", note.message)).await.unwrap();
        Self { hosts, provider, _turn: turn }
    }

    /// Gives the hosts back. After a panic the end of the program's handles does that.
    pub(crate) async fn release(self) {
        self.provider.release().await.unwrap();
    }
}

/// Runs `body` on a host in a scope of its own, undoes what it created, whether it passed or not,
/// and requires that nothing is left.
pub(crate) async fn on_host<F, Fut>(host: &Arc<dyn Host>, body: F)
where
    F: FnOnce(Arc<dyn Host>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let before = host.inventory().await.unwrap();
    let scope = Scope::observed_by(Arc::new(Trace));
    let result = tokio::spawn(body(host.in_scope(scope.clone()))).await;
    while let Some(undo) = scope.take_last() {
        let what = undo.description().to_owned();
        undo.run().await.unwrap_or_else(|error| panic!("undo: {what}: {error}"));
    }
    if let Err(error) = result {
        std::panic::resume_unwind(error.into_panic());
    }
    let left = host.inventory().await.unwrap().added_since(&before);
    assert_eq!(left, [] as [String; 0], "the test left something");
}

/// Prints every command, for the eyes of whoever looks at a test that failed.
#[derive(Debug)]
struct Trace;

impl Observer for Trace {
    fn command(&self, record: CommandRecord) {
        let CommandRecord { target, command, status, error, stderr, seconds, .. } = record;
        let end = status.map_or_else(|| error.unwrap_or_default(), |status| status.to_string());
        let command = command.replace('\n', "\n    ");
        println!("{:6.2} s {target}: {command}\n    [{end}] {stderr}", seconds.0.as_secs_f64());
    }
}

/// A guest of the image `tiny` with one VIF.
pub(crate) fn tiny(name: &str, kind: GuestKind) -> GuestSpec {
    GuestSpec::new(name).image("tiny").kind(kind).vif(VifSpec::on_default())
}

/// Creates a guest, starts it and waits until a login works.
pub(crate) async fn booted(host: &Arc<dyn Host>, spec: &GuestSpec) -> Arc<dyn Guest> {
    let guest = host.create_guest(spec).await.unwrap();
    guest.start().await.unwrap();
    guest.wait_until_reachable().await.unwrap();
    guest
}
