//! Where the hosts of these tests come from, and what they have in common.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};
use xenrt::virtual_lab::VirtualLabProvider;
use xenrt_core::lab::{HostDemand, LabFile, LabFileProvider, LabProvider};
use xenrt_core::model::{Guest, GuestKind, GuestSpec, Host, Scope, VifSpec};
use xenrt_core::remote::{Command, CommandRecord, Observer, shorten_middle};
use xenrt_xl::XlToolstack;

pub(crate) mod devices;
pub(crate) mod failures;
pub(crate) mod lifecycle;
pub(crate) mod migration;
pub(crate) mod planted;

/// The hosts of one test, and its turn: two emulated hosts at once are slower than one after the
/// other on a small machine, and deadlines mean less.
struct Lab {
    hosts: Vec<Arc<dyn Host>>,
    provider: Arc<dyn LabProvider>,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::const_new(());

impl Lab {
    /// So many hosts: of the lab file that `XENRT_TEST_LAB` names, else of the virtual lab.
    async fn with(count: usize) -> Self {
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
    async fn release(self) {
        self.provider.release().await.unwrap();
    }
}

/// Runs a test on pristine hosts and panics where it fails.
///
/// An emulated host now and then does what no machine does: one that fails on the virtual lab is
/// tried once more, on other hosts, and is noted as flaky with all that was seen, for
/// `cargo xtask test` to tell. On the hosts of a lab file each test has one try.
pub(crate) async fn on_hosts<F, Fut>(name: &str, count: usize, body: F)
where
    F: Fn(Vec<Arc<dyn Host>>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let Err(first) = once(count, &body).await else { return };
    if std::env::var_os("XENRT_TEST_LAB").is_some() {
        panic!("{first}");
    }
    println!("{first}\n\nThat was the first try of {name}. The second:\n");
    if let Err(second) = once(count, &body).await {
        panic!("{second}");
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("flaky");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.txt")), first).unwrap();
}

/// Runs `body` on hosts in a scope of its own, undoes what it created, whether it passed or not,
/// and requires that nothing is left. Says what was wrong, after the last commands and what the
/// first host was like.
async fn once<F, Fut>(count: usize, body: &F) -> Result<(), String>
where
    F: Fn(Vec<Arc<dyn Host>>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let lab = Lab::with(count).await;
    let host = &lab.hosts[0];
    let before = host.inventory().await.unwrap();
    let trace = Arc::new(Trace::default());
    let scope = Scope::observed_by(Arc::clone(&trace) as Arc<dyn Observer>);
    let hosts = lab.hosts.iter().map(|host| host.in_scope(scope.clone())).collect();
    let mut problems = Vec::new();
    if let Err(error) = tokio::spawn(body(hosts)).await {
        problems.push(panic_message(error.into_panic().as_ref()));
    }
    while let Some(undo) = scope.take_last() {
        let what = undo.description().to_owned();
        problems.extend(undo.run().await.err().map(|error| format!("undo: {what}: {error}")));
    }
    match host.inventory().await {
        Ok(now) => {
            let left = now.added_since(&before);
            problems.extend(left.iter().map(|object| format!("the test left {object}")));
        }
        Err(error) => problems.push(format!("no inventory: {error}")),
    }
    if !problems.is_empty() {
        let seen = format!("{}{}", trace.text(), state_of(host).await);
        problems.insert(0, seen);
    }
    lab.release().await;
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// What the hypervisor and dom0 have to say, when a test failed.
async fn state_of(host: &Arc<dyn Host>) -> String {
    let look = "xl list -v; xl dmesg | tail -n 25; dmesg | tail -n 15; \
                tail -n 8 /var/log/xen/console/guest-*.log; ps -e -ww -o pid= -o ppid= -o args= | \
                grep -v '\\]$' | tail -n 25";
    let look = Command::shell_line(look).deadline(std::time::Duration::from_secs(60));
    match host.dom0().execute(&look).await {
        Ok(output) => output.text(),
        Err(error) => format!("no look at host {} is possible: {error}", host.name()),
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

/// The last commands, for the eyes of whoever looks at a test that failed.
#[derive(Debug, Default)]
struct Trace(std::sync::Mutex<std::collections::VecDeque<CommandRecord>>);

impl Trace {
    /// Enough to see what led to it, and no more than a log of many tests can show.
    const KEPT: usize = 20;

    fn text(&self) -> String {
        let mut all = String::new();
        for record in &*self.0.lock().unwrap() {
            let CommandRecord { target, command, status, error, stdout, stderr, seconds } = record;
            let end = match (status, error) {
                (Some(status), _) => status.to_string(),
                (None, error) => error.clone().unwrap_or_default(),
            };
            // What every script begins with tells nothing.
            let command = command.lines().filter(|line| !line.starts_with("set -e; refuse()"));
            let command = shorten_middle(&command.collect::<Vec<_>>().join("; "), 240);
            let (seconds, end) = (seconds.0.as_secs_f64(), shorten_middle(&end, 400));
            all.push_str(&format!("{seconds:6.2} s {target}: {command}\n    [{end}]\n"));
            for text in [stdout, stderr] {
                let text = shorten_middle(text.trim(), 800).replace('\n', "\n    ");
                if !text.is_empty() {
                    all.push_str(&format!("    {text}\n"));
                }
            }
        }
        all
    }
}

impl Observer for Trace {
    fn command(&self, record: CommandRecord) {
        let mut kept = self.0.lock().unwrap();
        if kept.len() == Self::KEPT {
            kept.pop_front();
        }
        kept.push_back(record);
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
