//! The inside of guests that have none: a shell that answers what their VM should.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use xenrt_core::model::{Host, Toolstack as _};
use xenrt_core::remote::{
    Command, ExitStatus, Output, Process, RemoteError, Result, Shell, SshShell, Stdin,
};
use xenrt_xapi::XapiToolstack;
use xenrt_xapi::double::{Double, Object};

use crate::world::Simulated;

/// Files in the memory of guests: their VM, its boot, and the path.
pub(crate) type Memory = Arc<Mutex<HashMap<(String, String, String), Vec<u8>>>>;

/// A login into the guest that has an address. What is not about its VM is refused.
#[derive(Debug)]
struct DryShell {
    address: IpAddr,
    target: String,
    double: Double,
    dom0: Arc<dyn Shell>,
    memory: Memory,
}

/// The VM behind an address, as far as a guest sees it.
struct Behind {
    uuid: String,
    boot: String,
    vcpus: String,
    memory: u64,
    macs: Vec<String>,
    disks: Vec<String>,
}

impl DryShell {
    /// The VM that has the address, if one that runs has it.
    fn behind(&self) -> Result<Behind> {
        let own = format!("0/ip: {}", self.address);
        let attached = |device: &&Object, vm: &str| {
            device.text("vm-uuid") == vm && device.text("currently-attached") == "true"
        };
        let found = self.double.look(|world| {
            let vm = world.all("vm").find(|vm| {
                vm.text("power-state") == "running"
                    && vm.text("networks").split("; ").any(|part| part == own)
            })?;
            let uuid = vm.uuid();
            let vifs = world.all("vif").filter(|vif| attached(vif, &uuid));
            let vbds = world.all("vbd").filter(|vbd| attached(vbd, &uuid));
            Some(Behind {
                boot: vm.hidden("boot").unwrap_or_default().to_owned(),
                vcpus: vm.text("VCPUs-number"),
                memory: vm.text("memory-actual").parse().unwrap_or(0),
                macs: vifs.map(|vif| vif.text("MAC")).collect(),
                disks: vbds.map(|vbd| vbd.text("device")).collect(),
                uuid,
            })
        });
        found.unwrap().ok_or_else(|| RemoteError::Connect {
            target: self.target.clone(),
            message: "no route to host".to_owned(),
            source: None,
        })
    }

    fn refused(&self, command: &Command) -> RemoteError {
        RemoteError::Failed {
            target: self.target.clone(),
            command: command.to_string(),
            status: ExitStatus::Code(1),
            stdout: String::new(),
            stderr: "a guest of the double has no inside that could do that".to_owned(),
        }
    }

    /// `dd` between the beginning of a disk and the shell.
    fn dd(&self, vm: &str, line: &str, command: &Command) -> Result<Output> {
        let device: String = match line.split_once("/dev/") {
            Some((_, rest)) => rest.chars().take_while(char::is_ascii_alphanumeric).collect(),
            None => return Err(self.refused(command)),
        };
        let found = self.double.look(|world| {
            let own = |vbd: &&Object| vbd.text("vm-uuid") == vm && vbd.text("device") == device;
            let disk = world.all("vbd").find(own)?.text("vdi-uuid");
            let content = world.object("vdi", &disk)?.hidden("content").unwrap_or_default();
            Some((disk.clone(), content.to_owned()))
        });
        let Some((disk, content)) = found.unwrap() else { return Err(self.refused(command)) };
        if line.contains("of=") {
            let Stdin::Bytes(written) = command.stdin_value() else {
                return Err(self.refused(command));
            };
            let written = String::from_utf8_lossy(written);
            self.double.change(|world| world.hide("vdi", &disk, "content", written)).unwrap();
            return Ok(text(String::new()));
        }
        Ok(text(content))
    }

    /// Has the VM do something through its toolstack, as a guest that does it to itself.
    async fn itself(&self, command: &str, vm: &str) -> Result<()> {
        let words = [command.to_owned(), format!("uuid={vm}"), "force=true".to_owned()];
        self.dom0.execute(&Command::new("xe").args(words)).await.map(drop)
    }
}

fn text(text: String) -> Output {
    Output {
        status: ExitStatus::Code(0),
        stdout: text.into_bytes(),
        stderr: Vec::new(),
        elapsed: Duration::ZERO,
    }
}

#[async_trait]
impl Shell for DryShell {
    fn target(&self) -> &str {
        &self.target
    }

    async fn execute(&self, command: &Command) -> Result<Output> {
        let vm = self.behind()?;
        let line = command.to_shell_line();
        if line.contains("MemTotal") {
            let macs = vm.macs.iter().map(|mac| format!("mac {mac}\n"));
            let disks = vm.disks.iter().map(|disk| format!("disk {disk}\n"));
            let rest: String = macs.chain(disks).collect();
            return Ok(text(format!("vcpus {}\nmemory {}\n{rest}", vm.vcpus, vm.memory >> 10)));
        }
        if line.contains("random/boot_id") {
            return Ok(text(vm.boot + "\n"));
        }
        if line.contains("/online") {
            return Ok(text(vm.vcpus + "\n"));
        }
        if line.starts_with("dd ") {
            return self.dd(&vm.uuid, &line, command);
        }
        if line.contains("poweroff") {
            self.itself("vm-shutdown", &vm.uuid).await?;
            return Ok(text(String::new()));
        }
        if line.contains("reboot") {
            self.itself("vm-reboot", &vm.uuid).await?;
            return Ok(text(String::new()));
        }
        if line.contains("sysrq-trigger") {
            self.double.change(|world| world.crash(&vm.uuid)).unwrap();
            return Ok(text(String::new()));
        }
        // Nothing else is run: dom0 is the machine that runs these tests.
        if line == "true" {
            return Ok(text(String::new()));
        }
        Err(self.refused(command))
    }

    async fn start(&self, command: &Command) -> Result<Process> {
        self.behind()?;
        Err(self.refused(command))
    }

    async fn write_file(&self, path: &str, bytes: &[u8], _: u32) -> Result<()> {
        let vm = self.behind()?;
        self.memory.lock().unwrap().insert((vm.uuid, vm.boot, path.to_owned()), bytes.to_vec());
        Ok(())
    }

    async fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let vm = self.behind()?;
        let read = self.memory.lock().unwrap().get(&(vm.uuid, vm.boot, path.to_owned())).cloned();
        read.ok_or_else(|| RemoteError::Copy {
            from: format!("{}:{path}", self.target),
            to: "memory".to_owned(),
            message: "no such file".to_owned(),
        })
    }

    async fn upload(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        self.write_file(to, &std::fs::read(from).unwrap(), mode).await
    }

    async fn download(&self, from: &str, to: &Path) -> Result<()> {
        std::fs::write(to, self.read_file(from).await?).unwrap();
        Ok(())
    }

    async fn reset(&self) {}

    async fn stop_all(&self) -> Vec<String> {
        self.dom0.stop_all().await
    }
}

/// The dom0 of a host of the double, whose boot is that of the host and not of this machine.
#[derive(Debug)]
struct Dom0 {
    shell: Arc<dyn Shell>,
    host: String,
    double: Double,
}

#[async_trait]
impl Shell for Dom0 {
    fn target(&self) -> &str {
        self.shell.target()
    }

    async fn execute(&self, command: &Command) -> Result<Output> {
        if !command.to_shell_line().contains("random/boot_id") {
            return self.shell.execute(command).await;
        }
        let boot = self.double.look(|world| {
            let host = world.all("host").find(|host| host.text("name-label") == self.host)?;
            Some(host.hidden("boot").unwrap_or("the first").to_owned())
        });
        Ok(text(boot.unwrap().unwrap()))
    }

    async fn start(&self, command: &Command) -> Result<Process> {
        self.shell.start(command).await
    }

    async fn write_file(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        self.shell.write_file(path, bytes, mode).await
    }

    async fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        self.shell.read_file(path).await
    }

    async fn upload(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        self.shell.upload(from, to, mode).await
    }

    async fn download(&self, from: &str, to: &Path) -> Result<()> {
        self.shell.download(from, to).await
    }

    async fn reset(&self) {
        self.shell.reset().await;
    }

    async fn stop_all(&self) -> Vec<String> {
        self.shell.stop_all().await
    }
}

/// The host that the lab calls so, with guests that can be logged into.
pub(crate) async fn connect(simulated: &Simulated, name: &str, memory: &Memory) -> Arc<dyn Host> {
    connect_within(simulated, name, memory, None).await
}

/// The same, with verbs that may take no longer than `deadline`.
pub(crate) async fn connect_within(
    simulated: &Simulated,
    name: &str,
    memory: &Memory,
    deadline: Option<Duration>,
) -> Arc<dyn Host> {
    let (double, memory) = (simulated.double.clone(), Arc::clone(memory));
    let dom0 = simulated.shell();
    let own = name.to_owned();
    let toolstack = XapiToolstack::reaching_by(move |target| match target.host.parse() {
        Ok(address) if target.host != "127.0.0.1" => Arc::new(DryShell {
            address,
            target: format!("root@{address}"),
            double: double.clone(),
            dom0: Arc::clone(&dom0),
            memory: Arc::clone(&memory),
        }),
        _ => Arc::new(Dom0 {
            shell: Arc::new(SshShell::new(target)),
            host: own.clone(),
            double: double.clone(),
        }),
    });
    let mut entry = simulated.lab("").hosts.remove(0);
    entry.name = name.to_owned();
    if let Some(deadline) = deadline {
        let deadlines = &mut entry.deadlines;
        deadlines.state = deadline;
        deadlines.boot = deadline;
        deadlines.device = deadline;
        deadlines.suspend = deadline;
        deadlines.migrate = deadline;
    }
    toolstack.connect(&entry).await.unwrap()
}
