//! A host and guests in memory.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use uuid::Uuid;
use xenrt_core::lab::{HostDemand, HostEntry, LabNote, LabProvider};
use xenrt_core::model::*;
use xenrt_core::remote::{
    Command, ExitStatus, ObservedShell, Output, Process, RemoteError, Shell, Wait,
};
use xenrt_core::{Error, Result, ToolstackErrorKind};

const MAC: &str = "00:16:3e:00:00:01";
const MEMORY: Memory = Memory::mib(200);

/// What all handles of a fake host share, and the faults that it has.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Everything that was done, in order.
    pub(crate) log: Mutex<Vec<String>>,
    pub(crate) guests: Mutex<BTreeMap<String, PowerState>>,
    pub(crate) networks: Mutex<Vec<String>>,
    /// More objects for the inventory.
    pub(crate) objects: Mutex<Vec<String>>,
    pub(crate) unreachable: AtomicBool,
    /// What dom0's kernel wrote, and each guest on its console besides its prompt.
    pub(crate) kernel_log: Mutex<String>,
    pub(crate) consoles: Mutex<BTreeMap<String, String>>,
    /// Guests whose deletion the toolstack refuses.
    pub(crate) undeletable: Mutex<Vec<String>>,
    /// Guests whose deletion never ends.
    pub(crate) hanging: Mutex<Vec<String>>,
    /// Guests that cannot be started.
    pub(crate) unstartable: Mutex<Vec<String>>,
}

impl State {
    fn log(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push(what.into());
    }

    fn refuse(verb: &str, name: &str, kind: ToolstackErrorKind) -> Error {
        Error::Toolstack {
            toolstack: "fake".into(),
            verb: verb.into(),
            object: format!("guest {name:?}"),
            kind,
            message: "no".into(),
            source: None,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct FakeHost {
    entry: HostEntry,
    abilities: Abilities,
    scope: Scope,
    pub(crate) state: Arc<State>,
}

impl FakeHost {
    pub(crate) fn new(name: &str) -> Self {
        let lab = format!(
            "[[host]]\nname = {name:?}\naddress = \"h\"\ntoolstack = \"fake\"\n\
             [[host.images]]\nname = \"tiny\"\nkinds = [\"pv\"]\nmemory_mib = 200\n"
        );
        let lab = xenrt_core::lab::LabFile::parse(&lab, "lab.toml").unwrap();
        let abilities = [Ability::Pv, Ability::Suspend, Ability::ConsoleLog, Ability::Networks];
        let mut abilities = Abilities::of(abilities);
        abilities.remove(Ability::LiveMigration, "it is a fake");
        Self {
            entry: lab.hosts[0].clone(),
            abilities,
            scope: Scope::default(),
            state: Arc::default(),
        }
    }
}

impl FakeHost {
    /// One that can migrate guests.
    pub(crate) fn migrating(name: &str) -> Self {
        let own = Self::new(name);
        let abilities = own.abilities.iter().chain([Ability::LiveMigration]);
        Self { abilities: Abilities::of(abilities.collect::<Vec<_>>()), ..own }
    }
}

impl FakeHost {
    fn handle(&self, name: &str) -> Result<Arc<dyn Guest>> {
        let expected = ExpectedGuest {
            power: PowerState::Halted,
            vcpus: 1,
            memory: MEMORY,
            disks: Vec::new(),
            vifs: vec![Vif { index: 0, mac: MAC.parse()?, network: "br".into() }],
            address: None,
            reachable: false,
        };
        Ok(Arc::new(FakeGuest {
            name: name.to_owned(),
            host: self.clone(),
            expectation: Expectation::new(expected),
        }))
    }
}

/// What all handles to this host share. A host is `Any`, as back ends need it for migration.
pub(crate) fn state_of(host: &dyn Host) -> Arc<State> {
    let host: &dyn std::any::Any = host;
    Arc::clone(&host.downcast_ref::<FakeHost>().unwrap().state)
}

#[async_trait]
impl Host for FakeHost {
    fn name(&self) -> &str {
        &self.entry.name
    }
    fn toolstack(&self) -> &'static str {
        "fake"
    }
    fn entry(&self) -> &HostEntry {
        &self.entry
    }
    fn abilities(&self) -> &Abilities {
        &self.abilities
    }
    fn dom0(&self) -> Arc<dyn Shell> {
        let shell = Arc::new(FakeShell(self.entry.name.clone(), Arc::clone(&self.state)));
        match self.scope.observer() {
            Some(observer) => Arc::new(ObservedShell::new(shell, Arc::clone(observer))),
            None => shell,
        }
    }
    fn scope(&self) -> &Scope {
        &self.scope
    }
    fn in_scope(&self, scope: Scope) -> Arc<dyn Host> {
        Arc::new(Self { scope, ..self.clone() })
    }
    async fn info(&self) -> Result<HostInfo> {
        Ok(HostInfo::default())
    }
    async fn domains(&self) -> Result<Vec<DomainView>> {
        Ok(Vec::new())
    }
    async fn define_guest(&self, spec: &GuestSpec) -> Result<Arc<dyn Guest>> {
        self.state.log(format!("define {}", spec.name));
        // Others go on meanwhile, as with a real host.
        tokio::task::yield_now().await;
        self.state.guests.lock().unwrap().insert(spec.name.clone(), PowerState::Halted);
        self.handle(&spec.name)
    }
    async fn guests(&self) -> Result<Vec<Arc<dyn Guest>>> {
        let names: Vec<_> = self.state.guests.lock().unwrap().keys().cloned().collect();
        names.iter().map(|name| self.handle(name)).collect()
    }
    async fn networks(&self) -> Result<Vec<Network>> {
        let names = self.state.networks.lock().unwrap().clone();
        Ok(names
            .into_iter()
            .map(|name| Network { name, kind: NetworkKind::Isolated, addresses: Vec::new() })
            .collect())
    }
    async fn define_network(&self, spec: &NetworkSpec) -> Result<Network> {
        self.state.log(format!("define network {}", spec.name));
        let mut networks = self.state.networks.lock().unwrap();
        if networks.contains(&spec.name) {
            return Err(State::refuse("make", &spec.name, ToolstackErrorKind::AlreadyExists));
        }
        networks.push(spec.name.clone());
        Ok(Network { name: spec.name.clone(), kind: spec.kind.clone(), addresses: Vec::new() })
    }
    async fn remove_network(&self, name: &str) -> Result<()> {
        self.state.log(format!("remove network {name}"));
        self.state.networks.lock().unwrap().retain(|own| own != name);
        Ok(())
    }
    async fn inventory(&self) -> Result<HostInventory> {
        self.state.log("inventory");
        let mut objects = self.state.objects.lock().unwrap().clone();
        objects
            .extend(self.state.guests.lock().unwrap().keys().map(|name| format!("domain {name}")));
        objects.sort();
        Ok(HostInventory { objects })
    }
    fn evidence_sources(&self) -> Vec<EvidenceSource> {
        vec![EvidenceSource { file: "dmesg.txt".into(), command: Command::new("dmesg") }]
    }
    fn guest_shell(&self, _: Option<&str>, _: IpAddr) -> Result<Arc<dyn Shell>> {
        Ok(Arc::new(FakeShell("guest".into(), Arc::clone(&self.state))))
    }
}

#[derive(Debug)]
struct FakeGuest {
    name: String,
    host: FakeHost,
    expectation: Expectation,
}

impl FakeGuest {
    fn state(&self) -> Result<PowerState> {
        let guests = self.host.state.guests.lock().unwrap();
        let gone = || State::refuse("look at", &self.name, ToolstackErrorKind::NoSuchObject);
        guests.get(&self.name).copied().ok_or_else(gone)
    }
}

#[async_trait]
impl Guest for FakeGuest {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn uuid(&self) -> Uuid {
        Uuid::nil()
    }
    fn kind(&self) -> GuestKind {
        GuestKind::Pv
    }
    fn image(&self) -> Option<String> {
        Some("tiny".into())
    }
    fn host(&self) -> Arc<dyn Host> {
        Arc::new(self.host.clone())
    }
    fn expectation(&self) -> &Expectation {
        &self.expectation
    }
    async fn request(&self, action: &GuestAction) -> Result<()> {
        let state = &self.host.state;
        state.log(format!("{} {}", action.verb(), self.name));
        let named = |names: &Mutex<Vec<String>>| names.lock().unwrap().contains(&self.name);
        let after = match action {
            GuestAction::Delete if named(&state.hanging) => std::future::pending().await,
            GuestAction::Delete if named(&state.undeletable) => {
                return Err(State::refuse("delete", &self.name, ToolstackErrorKind::Other));
            }
            GuestAction::Delete => {
                state.guests.lock().unwrap().remove(&self.name);
                return Ok(());
            }
            GuestAction::Rename(name) => {
                let mut guests = state.guests.lock().unwrap();
                if let Some(power) = guests.remove(&self.name) {
                    guests.insert(name.clone(), power);
                }
                return Ok(());
            }
            GuestAction::Start if named(&state.unstartable) => {
                return Err(State::refuse("start", &self.name, ToolstackErrorKind::OutOfMemory));
            }
            GuestAction::Start | GuestAction::Unpause => PowerState::Running,
            GuestAction::Pause => PowerState::Paused,
            GuestAction::Resume | GuestAction::Reboot => PowerState::Running,
            GuestAction::Suspend => PowerState::Suspended,
            _ => PowerState::Halted,
        };
        state.guests.lock().unwrap().insert(self.name.clone(), after);
        Ok(())
    }
    async fn view(&self) -> Result<GuestView> {
        let expected = self.expectation.get();
        Ok(GuestView {
            power: self.state()?,
            vcpus: 1,
            max_vcpus: 1,
            memory: MEMORY,
            disks: expected.disks,
            vifs: expected.vifs,
        })
    }
    async fn domain(&self) -> Result<Option<DomainView>> {
        let state = self.state()?;
        Ok(state.has_domain().then(|| DomainView {
            domid: 1,
            name: self.name.clone(),
            uuid: None,
            power: state,
            vcpus: 1,
            memory: MEMORY,
            cpu_seconds: 0.0,
        }))
    }
    async fn find_address(&self) -> Result<Wait<IpAddr>> {
        Ok(Wait::Done(IpAddr::from([10, 0, 0, 1])))
    }
    async fn console_text(&self) -> Result<String> {
        let consoles = self.host.state.consoles.lock().unwrap();
        let more = consoles.get(&self.name).map_or("", String::as_str);
        Ok(format!("{} login: {more}", self.name))
    }
}

/// Answers the few commands that the provided methods send.
#[derive(Debug)]
struct FakeShell(String, Arc<State>);

#[async_trait]
impl Shell for FakeShell {
    fn target(&self) -> &str {
        &self.0
    }
    async fn execute(&self, command: &Command) -> xenrt_core::remote::Result<Output> {
        let line = command.to_string();
        if self.1.unreachable.load(Ordering::Relaxed) {
            return Err(RemoteError::Connect {
                target: self.0.clone(),
                message: "refused".into(),
                source: None,
            });
        }
        let (code, stdout) = match line.as_str() {
            "false" => (1, String::new()),
            "dmesg" if self.0 != "guest" => {
                (0, format!("fine\n{}", self.1.kernel_log.lock().unwrap()))
            }
            line if line.contains("/proc/cpuinfo") => {
                (0, format!("vcpus 1\nmemory 190000\nmac {MAC}\n"))
            }
            _ => (0, "fine\n".to_owned()),
        };
        Ok(Output {
            status: ExitStatus::Code(code),
            stdout: stdout.into_bytes(),
            stderr: if code == 0 { Vec::new() } else { b"it is false\n".to_vec() },
            elapsed: std::time::Duration::from_millis(1),
        })
    }
    async fn start(&self, _: &Command) -> xenrt_core::remote::Result<Process> {
        Err(refused())
    }
    async fn write_file(&self, _: &str, _: &[u8], _: u32) -> xenrt_core::remote::Result<()> {
        Err(refused())
    }
    async fn read_file(&self, _: &str) -> xenrt_core::remote::Result<Vec<u8>> {
        Err(refused())
    }
    async fn upload(&self, _: &Path, _: &str, _: u32) -> xenrt_core::remote::Result<()> {
        Err(refused())
    }
    async fn download(&self, _: &str, _: &Path) -> xenrt_core::remote::Result<()> {
        Err(refused())
    }
    async fn reset(&self) {}
    async fn stop_all(&self) -> Vec<String> {
        Vec::new()
    }
}

fn refused() -> RemoteError {
    RemoteError::Copy { from: "here".into(), to: "there".into(), message: "not in a fake".into() }
}

/// A lab of fake hosts.
#[derive(Debug, Default)]
pub(crate) struct FakeLab {
    pub(crate) hosts: Vec<FakeHost>,
    pub(crate) broken: bool,
    pub(crate) unreleasable: bool,
    pub(crate) log: Mutex<Vec<String>>,
    /// The abilities that were asked for.
    pub(crate) demands: Mutex<Vec<Ability>>,
}

impl FakeLab {
    pub(crate) fn of(names: &[&str]) -> Self {
        Self { hosts: names.iter().map(|name| FakeHost::new(name)).collect(), ..Self::default() }
    }
}

#[async_trait]
impl LabProvider for FakeLab {
    fn description(&self) -> String {
        "the fake lab".into()
    }
    async fn acquire(
        &self,
        demands: &[HostDemand],
        note: &(dyn Fn(LabNote) + Send + Sync),
    ) -> Result<Vec<Arc<dyn Host>>> {
        self.log.lock().unwrap().push(format!("acquire {}", demands.len()));
        self.demands.lock().unwrap().extend(demands.iter().flat_map(|demand| &demand.requires));
        note(LabNote { message: "booting".into(), fraction: Some(0.5) });
        if self.broken {
            return Err(Error::lab("no host is free; wait or add one"));
        }
        let hosts = self.hosts.iter().take(demands.len());
        Ok(hosts.map(|host| Arc::new(host.clone()) as Arc<dyn Host>).collect())
    }
    async fn collect_evidence(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("serial.txt"), "(XEN) fine").unwrap();
        Ok(())
    }
    async fn release(&self) -> Result<()> {
        self.log.lock().unwrap().push("release".into());
        if self.unreleasable { Err(Error::lab("qemu 812 does not stop")) } else { Ok(()) }
    }
    async fn keep(&self) -> Result<String> {
        self.log.lock().unwrap().push("keep".into());
        Ok("ssh root@h".into())
    }
}
