//! The inside of guests that have none: a shell that answers what their VM should.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use xenrt_core::remote::{
    Command, ExitStatus, Output, Process, RemoteError, Result, Shell, SshShell, SshTarget, Stdin,
};

use super::store::Double;
use super::world::Object;
use super::{program, traffic};
use crate::XapiToolstack;

/// Files in the memory of guests: their VM, its boot, and the path.
type Memory = Arc<Mutex<HashMap<(String, String, String), Vec<u8>>>>;

/// What Linux sets in `net.ipv4.tcp_min_tso_segs` when nobody does.
const LEAST_SEGMENTS: u32 = 2;
const LEAST_SEGMENTS_FILE: &str = "/proc/sys/net/ipv4/tcp_min_tso_segs";

/// The insides of the guests of a [`Double`]. Clones share what is in the memory of guests, so that a
/// guest which moves to another host of the pool takes it along.
///
/// Who logs in finds what the VM has (vCPUs, memory, VIFs, disks, the boot), files in memory, `ip
/// link set eth0 mtu`, `ping`, `iperf`, and `dd` from and to the beginning of a disk; a guest can shut itself down, reboot and crash. Any other
/// command is refused with the reason.
#[derive(Debug, Clone)]
pub struct DryGuests {
    double: Double,
    memory: Memory,
}

impl DryGuests {
    /// The insides of the guests in the world of `double`.
    pub fn new(double: Double) -> Self {
        Self { double, memory: Memory::default() }
    }

    /// A toolstack that reaches guests here and the dom0 of the host named `host` through ssh.
    /// `host` is its `name-label` in the world; the boot of that host is what dom0 tells as its own.
    pub fn toolstack(&self, host: &str) -> XapiToolstack {
        let (guests, host) = (self.clone(), host.to_owned());
        XapiToolstack::reaching_by(move |target| match guest_address(&target) {
            Some(address) => Arc::new(DryShell {
                address,
                target: format!("root@{address}"),
                double: guests.double.clone(),
                memory: Arc::clone(&guests.memory),
            }),
            None => Arc::new(Dom0 {
                shell: Arc::new(SshShell::new(target)),
                host: host.clone(),
                double: guests.double.clone(),
            }),
        })
    }
}

/// The address of a guest: agents of the double report those of TEST-NET-1 (RFC 5737) alone.
fn guest_address(target: &SshTarget) -> Option<IpAddr> {
    let address: IpAddr = target.host.parse().ok()?;
    matches!(address, IpAddr::V4(address) if address.is_documentation()).then_some(address)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each holder makes one change; none can leave it half made.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A login into the guest that has an address. What is not about its VM is refused.
#[derive(Debug)]
struct DryShell {
    address: IpAddr,
    target: String,
    double: Double,
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
    /// The VM that has the address, if one that runs and can be reached has it.
    fn behind(&self) -> Result<Behind> {
        let attached = |device: &&Object, vm: &str| {
            device.is("vm-uuid", vm) && device.is("currently-attached", "true")
        };
        let found = self.double.look(|world| {
            let vm = traffic::at_address(world, &self.address.to_string())?;
            let uuid = vm.uuid();
            let vifs = world.all("vif").filter(|vif| attached(vif, &uuid));
            let vbds = world.all("vbd").filter(|vbd| attached(vbd, &uuid));
            let macs = vifs.map(|vif| vif.text("MAC")).collect();
            let disks = vbds.map(|vbd| vbd.text("device")).collect();
            traffic::is_connected(world, vm).then(|| Behind {
                boot: vm.hidden("boot").unwrap_or_default().to_owned(),
                vcpus: vm.text("VCPUs-number"),
                memory: vm.number("memory-actual"),
                macs,
                disks,
                uuid,
            })
        });
        self.of_world(found)?.ok_or_else(|| RemoteError::Connect {
            target: self.target.clone(),
            message: "no route to host".to_owned(),
            source: None,
        })
    }

    fn of_world<T>(&self, result: std::io::Result<T>) -> Result<T> {
        let action = format!("cannot use the world in {}", self.double.path().display());
        result.map_err(|source| RemoteError::Local { action, source })
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

    /// Has the VM do something through its toolstack, as a guest that does it to itself.
    fn itself(&self, command: &str, vm: &str) -> Result<Output> {
        let sent = format!("{command}\nuuid={vm}\nforce=true");
        // What comes of it is for whoever looks at the VM to see.
        self.of_world(self.double.change(|world| program::act(world, &sent)))?;
        Ok(text(String::new()))
    }

    /// `dd` between the beginning of a disk and the shell.
    fn dd(&self, vm: &str, line: &str, command: &Command) -> Result<Output> {
        let Some((_, rest)) = line.split_once("/dev/") else { return Err(self.refused(command)) };
        let device: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
        let found = self.double.look(|world| {
            let own = |vbd: &&Object| vbd.is("vm-uuid", vm) && vbd.is("device", &device);
            let disk = world.all("vbd").find(own)?.text("vdi-uuid");
            let content = world.object("vdi", &disk)?.hidden("content").unwrap_or_default();
            Some((disk.clone(), content.to_owned()))
        });
        let Some((disk, content)) = self.of_world(found)? else {
            return Err(self.refused(command));
        };
        if !line.contains("of=") {
            return Ok(text(content));
        }
        let Stdin::Bytes(written) = command.stdin_value() else {
            return Err(self.refused(command));
        };
        let written = String::from_utf8_lossy(written);
        self.of_world(self.double.change(|world| world.hide("vdi", &disk, "content", written)))?;
        Ok(text(String::new()))
    }

    /// What a command about the network leaves; `None` where it is none.
    fn network(&self, vm: &Behind, line: &str) -> Result<Option<Output>> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let remember = |path: &str| (vm.uuid.clone(), vm.boot.clone(), path.to_owned());
        if let ["grep", "-l", "-i", mac, "/sys/class/net/*/address"] = words.as_slice() {
            let at = vm.macs.iter().position(|own| own.eq_ignore_ascii_case(mac));
            return Ok(Some(match at {
                Some(index) => text(format!("/sys/class/net/eth{index}/address\n")),
                None => failed(1, String::new()),
            }));
        }
        if let ["command", "-v", program @ ("ip" | "iperf" | "ping")] = words.as_slice() {
            return Ok(Some(text(format!("/usr/bin/{program}\n"))));
        }
        if let ["echo", number, ">", LEAST_SEGMENTS_FILE] = words.as_slice() {
            let bytes = format!("{number}\n").into_bytes();
            locked(&self.memory).insert(remember(LEAST_SEGMENTS_FILE), bytes);
            return Ok(Some(text(String::new())));
        }
        let least = locked(&self.memory).get(&remember(LEAST_SEGMENTS_FILE)).cloned();
        let least = least.and_then(|bytes| String::from_utf8(bytes).ok()?.trim().parse().ok());
        let sent = self.double.change(|world| {
            world.send(&vm.uuid, &words, least.unwrap_or(LEAST_SEGMENTS)).transpose()
        });
        let sent = self.of_world(sent.flatten())?;
        // The double has no clock: what takes seconds is over at once.
        Ok(sent.map(|sent| match sent.status {
            0 => text(sent.text),
            status => failed(status, sent.text),
        }))
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

fn failed(status: i32, stderr: String) -> Output {
    let stderr = stderr.into_bytes();
    Output { status: ExitStatus::Code(status), stderr, ..text(String::new()) }
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
            return self.itself("vm-shutdown", &vm.uuid);
        }
        if line.contains("reboot") {
            return self.itself("vm-reboot", &vm.uuid);
        }
        if line.contains("sysrq-trigger") {
            self.of_world(self.double.change(|world| world.crash(&vm.uuid)))?;
            return Ok(text(String::new()));
        }
        // Nothing else is run: dom0 is the machine that the tests run on.
        if line == "true" {
            return Ok(text(String::new()));
        }
        let output = self.network(&vm, &line)?;
        // A login over a VIF that was just disconnected hears no more of what it began.
        self.behind()?;
        output.ok_or_else(|| self.refused(command))
    }

    async fn start(&self, command: &Command) -> Result<Process> {
        self.behind()?;
        Err(self.refused(command))
    }

    async fn write_file(&self, path: &str, bytes: &[u8], _: u32) -> Result<()> {
        let vm = self.behind()?;
        locked(&self.memory).insert((vm.uuid, vm.boot, path.to_owned()), bytes.to_vec());
        Ok(())
    }

    async fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let vm = self.behind()?;
        let read = locked(&self.memory).get(&(vm.uuid, vm.boot, path.to_owned())).cloned();
        read.ok_or_else(|| RemoteError::Copy {
            from: format!("{}:{path}", self.target),
            to: "memory".to_owned(),
            message: "no such file".to_owned(),
        })
    }

    async fn upload(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        let action = || format!("cannot read {}", from.display());
        let read = std::fs::read(from);
        let bytes = read.map_err(|source| RemoteError::Local { action: action(), source })?;
        self.write_file(to, &bytes, mode).await
    }

    async fn download(&self, from: &str, to: &Path) -> Result<()> {
        let written = std::fs::write(to, self.read_file(from).await?);
        let action = || format!("cannot write {}", to.display());
        written.map_err(|source| RemoteError::Local { action: action(), source })
    }

    async fn reset(&self) {}

    async fn stop_all(&self) -> Vec<String> {
        Vec::new()
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
            let host = world.all("host").find(|host| host.is("name-label", &self.host))?;
            Some(host.hidden("boot").unwrap_or("the first").to_owned())
        });
        let action = || format!("cannot use the world in {}", self.double.path().display());
        let boot = boot.map_err(|source| RemoteError::Local { action: action(), source })?;
        match boot {
            Some(boot) => Ok(text(boot)),
            None => self.shell.execute(command).await,
        }
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
